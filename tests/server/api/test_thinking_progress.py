"""How far a hidden thought is, on the wire of every endpoint that streams."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.engine.scripted_model import RandomLogits
from tests.examples import examples
from tests.server.conftest import (
    MARKER_TEXTS,
    MODEL,
    VOCAB_SIZE,
    Serve,
    Served,
    choice_texts,
    wants,
)
from tests.server.generation.search.test_search_laws import OWN_STRATEGIES, Brief
from thinking.markers.profile import MarkerProfile

Json = dict[str, Any]
FIELDS = {"used", "budget", "seconds", "segment"}
MESSAGES: Json = {"messages": [{"role": "user", "content": "How many?"}]}
BODIES: dict[str, Json] = {
    "/v1/chat/completions": MESSAGES,
    "/v1/completions": {"prompt": "The ant is on"},
    "/v1/responses": {"input": "How many?"},
}
ASKING: Json = {"stream": True, "stream_options": {"include_thinking_progress": True}}
# Each token comes alone: hidden ones would be gathered for a time that no test should wait.
SINGLY: Json = {"max_thinking_seconds": 1e6}
THOUGHTS_INSIDE: Json = {
    "gate": {"mode": "every", "tokens": 4, "opening": False},
    "max_segments": 3,
    "segment_tokens": 20,
}
WORDS = "one two three four five six seven eight nine ten eleven twelve"
GATE: Json = {
    "gate": {"mode": "every", "tokens": 4},
    "max_segments": 3,
    "segment_tokens": 20,
    "loop_guard": False,
}


def set_clock(served: Served, seconds_per_token: float) -> None:
    """Let the clock advance with what the engine writes."""
    assert served.services.slot.model is not None
    engine = served.engine
    served.services.slot.model.clock = lambda: engine.num_generated * seconds_per_token


async def post(served: Served, path: str = "/v1/chat/completions", **fields: Any) -> str:
    body = {"model": MODEL, **BODIES[path], **fields}
    response = await served.http.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.text


def read_events(text: str) -> list[Json]:
    lines = [line for line in text.split("\n") if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def is_progress(choice: Json) -> bool:
    return "thinking" in choice and choice.get("finish_reason") is None


def split_choices(events: list[Json], index: int = 0) -> tuple[list[Json], Json]:
    """Return the progress of a choice, and its receipt; check that progress comes with nothing."""
    choices = [c for event in events for c in event.get("choices", ()) if c["index"] == index]
    progress = [choice for choice in choices if is_progress(choice)]
    for choice in progress:
        assert choice.get("delta", {}) == {}
        assert choice.get("text", "") == ""
        assert choice["logprobs"] is None
    (receipt,) = [choice["thinking"] for choice in choices if choice.get("finish_reason")]
    return [choice["thinking"] for choice in progress], receipt


def check_progress(progress: list[Json], receipt: Json) -> None:
    """Check the laws of a choice's progress."""
    assert (progress[-1]["used"] if progress else 0) == receipt["used"] <= receipt["budget"]
    for value in progress:
        assert set(value) == FIELDS
        assert value["budget"] == receipt["budget"]
        assert all(type(number) in (int, float) for number in value.values())
    for name in ("used", "seconds", "segment"):
        values = [value[name] for value in progress]
        assert values == sorted(values)
    if progress:
        assert progress[-1]["segment"] == receipt["segments"]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        SINGLY,
        {"include_reasoning": True},
        {"thinking_options": GATE},
        {"thinking_options": THOUGHTS_INSIDE},
        {"max_completion_tokens": 30},
        {"max_thinking_tokens": 0},
        {"n": 3},
        {"max_thinking_seconds": 2.0, "min_thinking_tokens": 60},
        {"thinking_options": {"kind": "pause"}},
        *({"thinking_options": {"strategy": wish}} for wish in OWN_STRATEGIES),
    ],
    ids=str,
)
async def test_a_chat_says_how_far_each_choice_is(
    serve: Serve, profile: MarkerProfile, fields: Json
) -> None:
    served = serve(wants(f"{3 * WORDS}"), profile)
    set_clock(served, 0.1)
    asked = {"max_thinking_tokens": 60, "seed": 1, **fields}
    text = await post(served, **ASKING, **asked)
    plain = await post(served, stream=True, **asked)
    num_choices = fields.get("n", 1)
    for index in range(num_choices):
        progress, receipt = split_choices(read_events(text), index)
        assert bool(progress) == bool(receipt["used"])
        check_progress(progress, receipt)
        unasked, same = split_choices(read_events(plain), index)
        assert not unasked
        assert {**receipt, "seconds": 0} == {**same, "seconds": 0}
    events, without = read_events(text), read_events(plain)
    assert choice_texts(events, num_choices) == choice_texts(without, num_choices)
    assert not any(marker in text for marker in MARKER_TEXTS)
    assert served.engine.num_running == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(60))
@given(
    seed=st.integers(0, 10_000),
    budget=st.integers(0, 150),
    limit=st.integers(2, 200),
    seconds_per_token=st.sampled_from([0.0, 0.01, 0.06, 0.3]),
    more=st.sampled_from(
        [
            {},
            {"thinking_options": GATE},
            {"include_reasoning": True},
            {"max_thinking_seconds": 1.0},
            {"n": 2},
            *({"thinking_options": {"strategy": wish}} for wish in OWN_STRATEGIES),
        ]
    ),
)
async def test_the_laws_hold_for_any_model(
    serve: Serve, seed: int, budget: int, limit: int, seconds_per_token: float, more: Json
) -> None:
    served = serve(Brief(seed))
    set_clock(served, seconds_per_token)
    if "strategy" in more.get("thinking_options", {}):
        budget, limit = budget + 4, limit + 8  # a search needs room for the markers of a thought
    fields: Json = {"max_thinking_tokens": budget, "max_completion_tokens": limit, "seed": seed}
    events = read_events(await post(served, **ASKING, **fields, **more))
    for index in range(more.get("n", 1)):
        check_progress(*split_choices(events, index))


async def test_values_are_a_fifth_of_a_second_apart(serve: Serve) -> None:
    served = serve(wants("a" * 200 + "</think>42"))
    set_clock(served, 0.07)
    fields: Json = {"max_thinking_tokens": 150, "thinking_options": {"loop_guard": False}}
    events = read_events(await post(served, **ASKING, **SINGLY, **fields))
    progress, receipt = split_choices(events)
    used = [value["used"] for value in progress]
    # A token takes 0.07 seconds, so every third one is reported; the last one always is.
    assert used == [*range(1, 150, 3), 150]
    assert receipt["used"] == 150
    seconds = [value["seconds"] for value in progress]
    assert all(later - earlier >= 0.2 for earlier, later in pairwise(seconds[:-1]))


async def test_where_time_stands_still_only_the_first_and_last_value_come(serve: Serve) -> None:
    served = serve(wants("a" * 40 + "</think>42"))
    set_clock(served, 0.0)
    fields: Json = {"max_thinking_tokens": 100, "thinking_options": {"loop_guard": False}}
    progress, receipt = split_choices(read_events(await post(served, **ASKING, **SINGLY, **fields)))
    assert [value["used"] for value in progress] == [1, receipt["used"]]


@pytest.mark.parametrize("strategy", OWN_STRATEGIES, ids=lambda w: "-".join(map(str, w.values())))
async def test_a_search_is_seen_while_it_runs(serve: Serve, strategy: Json) -> None:
    served = serve(RandomLogits(VOCAB_SIZE))
    set_clock(served, 0.1)
    fields: Json = {"max_thinking_tokens": 200, "max_completion_tokens": 400, "seed": 1}
    text = await post(served, **ASKING, **fields, thinking_options={"strategy": strategy})
    progress, receipt = split_choices(read_events(text))
    check_progress(progress, receipt)
    assert len(progress) > 10


async def test_completions_say_it_too_for_every_prompt(serve: Serve) -> None:
    served = serve(wants("a" * 20 + "</think>42"))
    fields: Json = {"prompt": ["One", "Two"], "max_thinking_tokens": 40, "n": 2}
    events = read_events(await post(served, "/v1/completions", **ASKING, **fields))
    for index in range(4):
        progress, receipt = split_choices(events, index)
        check_progress(progress, receipt)
        assert progress


async def test_responses_have_an_event_of_their_own(serve: Serve) -> None:
    served = serve(wants("a" * 20 + "</think>42"))
    events = read_events(
        await post(served, "/v1/responses", **ASKING, max_thinking_tokens=40, temperature=0)
    )
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    told = [event for event in events if event["type"] == "response.thinking.progress"]
    assert all(set(event) == {"type", "thinking", "sequence_number"} for event in told)
    receipt = events[-1]["response"]["thinking"]
    check_progress([event["thinking"] for event in told], receipt)
    assert told
    plain = read_events(
        await post(served, "/v1/responses", stream=True, max_thinking_tokens=40, temperature=0)
    )
    kinds = [event["type"] for event in events if event not in told]
    assert kinds == [event["type"] for event in plain]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("more", [{}, {"stream": False}, {"stream": None}])
async def test_without_a_stream_it_is_refused_by_name(serve: Serve, path: str, more: Json) -> None:
    body = {"model": MODEL, **BODIES[path], **ASKING, "stream": None, **more}
    response = await serve().http.post(path, json=body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == "stream_options.include_thinking_progress"
    assert "stream: true" in error["message"]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("value", [1, "true", []])
async def test_another_value_is_refused_by_name(serve: Serve, path: str, value: Any) -> None:
    options = {"include_thinking_progress": value}
    body = {"model": MODEL, **BODIES[path], "stream": True, "stream_options": options}
    response = await serve().http.post(path, json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "stream_options.include_thinking_progress"


@pytest.mark.parametrize("path", BODIES)
async def test_false_asks_for_nothing(serve: Serve, path: str) -> None:
    served = serve(wants("hm</think>42"))
    options = {"stream_options": {"include_thinking_progress": False}}
    text = await post(served, path, **options, stream=True)
    assert "thinking.progress" not in text
    assert '"segment":' not in text
    body = {"model": MODEL, **BODIES[path], **options}
    assert (await served.http.post(path, json=body)).status_code == 200


async def test_who_may_not_see_thoughts_may_see_how_long_they_are(serve: Serve) -> None:
    served = serve(wants("a" * 20 + "</think>42"), show_thoughts=False)
    text = await post(served, **ASKING, max_thinking_tokens=40)
    progress, receipt = split_choices(read_events(text))
    check_progress(progress, receipt)
    assert "aaa" not in text


async def test_a_trace_is_kept_as_without_it(serve: Serve, tmp_path: Any) -> None:
    served = serve(wants("so it is</think>42"), trace_store=str(tmp_path / "traces.db"))
    text = await post(served, **ASKING, max_thinking_tokens=40, store=True)
    progress, receipt = split_choices(read_events(text))
    check_progress(progress, receipt)
    assert "so it" not in text
