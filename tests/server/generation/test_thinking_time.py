"""``max_thinking_seconds``: a thought whose time is up is closed, and the answer still comes.

A second is a token here: the clock counts what the engine writes.
"""

from typing import Any

import pytest

from server.engine.scripted_model import RandomLogits
from server.settings.settings import ServerSettings
from tests.server.conftest import VOCAB_SIZE, Serve, Served, choice_texts, wants
from thinking.markers.profile import MarkerProfile
from thinking.phase import StopCause

FREE = {"loop_guard": False, "grace": 0}
BUDGET = 200
SECONDS = 40


def timed(serve: Serve, profile: MarkerProfile, source: Any = None, **options: Any) -> Served:
    """A server whose clock advances by one a token (of one request alone)."""
    served = serve(source, profile, **options)
    assert served.services.slot.model is not None
    served.services.slot.model.clock = lambda: float(served.engine.num_generated)
    return served


def body(**fields: Any) -> dict[str, Any]:
    options = {**FREE, **fields.pop("thinking_options", {})}
    return {
        "max_thinking_tokens": BUDGET,
        "max_completion_tokens": 300,
        # Else the random model might end its thought itself.
        "min_thinking_tokens": BUDGET,
        "thinking_options": options,
        "temperature": 0,
        **fields,
    }


async def choices_of(served: Served, **fields: Any) -> list[dict[str, Any]]:
    response = await served.chat(**body(**fields))
    assert response.status_code == 200, response.text
    reply = response.json()
    choices: list[dict[str, Any]] = reply["choices"]
    used = sum(choice["thinking"]["used"] for choice in choices)
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] == used
    assert all(c["thinking"]["used"] <= c["thinking"]["budget"] for c in choices)
    return choices


async def test_a_thought_ends_with_its_time_and_is_closed_within_the_budget(
    serve: Serve, profile: MarkerProfile
) -> None:
    served = timed(serve, profile, RandomLogits(VOCAB_SIZE))
    (choice,) = await choices_of(
        served, max_thinking_seconds=SECONDS, thinking_options={"wrap_up": "That is all."}
    )
    receipt = choice["thinking"]
    assert receipt["stop"] == "time"
    assert receipt["budget"] == BUDGET
    assert receipt["limited_by"] is None
    assert SECONDS < receipt["used"] <= SECONDS + 60  # the closing tokens
    assert choice["message"]["content"]
    assert served.engine.num_running == 0


async def test_it_is_the_same_reply_as_with_a_budget_that_ends_there(
    serve: Serve, profile: MarkerProfile
) -> None:
    served = timed(serve, profile, RandomLogits(VOCAB_SIZE))
    wish = {"include_reasoning": True, "logprobs": True, "top_logprobs": 2}
    (by_time,) = await choices_of(served, max_thinking_seconds=SECONDS, **wish)
    used = by_time["thinking"]["used"]
    (by_budget,) = await choices_of(
        served, max_thinking_tokens=used, min_thinking_tokens=used, **wish
    )
    assert by_time["message"] == by_budget["message"]
    assert by_time["logprobs"] == by_budget["logprobs"]
    assert by_time["finish_reason"] == by_budget["finish_reason"]
    assert by_budget["thinking"]["stop"] == "budget"
    assert by_budget["thinking"]["injected"] == by_time["thinking"]["injected"]


async def test_no_token_is_counted_twice(serve: Serve, profile: MarkerProfile) -> None:
    served = timed(serve, profile, RandomLogits(VOCAB_SIZE))
    response = await served.chat(**body(max_thinking_seconds=SECONDS, n=3))
    usage = response.json()["usage"]
    # What was on its way when the thought was cut is dropped: a token or two a choice.
    num_generated = served.engine.num_generated
    assert usage["completion_tokens"] <= num_generated <= usage["completion_tokens"] + 6
    text = (await served.http.get("/metrics")).text
    reasoning = usage["completion_tokens_details"]["reasoning_tokens"]
    assert f"thinking_reasoning_tokens_total {reasoning:.1f}" in text
    assert 'thinking_stops_total{cause="time"} 3.0' in text


async def test_a_stream_and_a_whole_reply_are_the_same(
    serve: Serve, profile: MarkerProfile
) -> None:
    served = timed(serve, profile, RandomLogits(VOCAB_SIZE))
    (whole,) = await choices_of(served, max_thinking_seconds=SECONDS)
    events = await served.events(**body(max_thinking_seconds=SECONDS))
    assert choice_texts(events) == [whole["message"]["content"]]
    (last,) = [c for event in events for c in event["choices"] if c.get("finish_reason")]
    told = {key: value for key, value in last["thinking"].items() if key != "seconds"}
    assert told == {key: value for key, value in whole["thinking"].items() if key != "seconds"}


async def test_a_stop_string_ends_the_answer_after_a_cut_thought(serve: Serve) -> None:
    served = timed(serve, serve().engine.profile, wants("abcdefghijklmnopqrstuvwxyz" * 20))
    (choice,) = await choices_of(served, max_thinking_seconds=SECONDS, stop=["fg"])
    assert choice["message"]["content"] == "abcde"
    assert choice["thinking"]["stop"] == "time"


async def test_the_total_time_of_thoughts_inside_an_answer_is_limited(
    serve: Serve, profile: MarkerProfile
) -> None:
    gate = {"mode": "every", "tokens": 4, "opening": False}
    options = {"gate": gate, "max_segments": 10, "segment_tokens": 30}
    fields = {"thinking_options": options, "min_thinking_tokens": None}
    served = timed(serve, profile, RandomLogits(VOCAB_SIZE))
    (free,) = await choices_of(served, **fields)
    (cut,) = await choices_of(served, max_thinking_seconds=SECONDS, **fields)
    assert free["thinking"]["used"] > 2 * SECONDS  # or there is nothing to cut
    assert cut["thinking"]["stop"] == "time"
    assert cut["thinking"]["segments"] < free["thinking"]["segments"]
    assert cut["thinking"]["used"] <= SECONDS + 60


async def test_a_thought_that_ends_in_time_is_not_touched(serve: Serve) -> None:
    served = timed(serve, serve().engine.profile, wants("so it is</think>Seven."))
    fields = {"min_thinking_tokens": None}
    (plain,) = await choices_of(served, **fields)
    (in_time,) = await choices_of(served, max_thinking_seconds=SECONDS, **fields)
    assert in_time["message"] == plain["message"] == {**plain["message"], "content": "Seven."}
    assert in_time["thinking"]["stop"] == "natural"


@pytest.mark.parametrize(
    ("server", "asked", "expected"), [(40, None, 40), (40, 20, 20), (40, 90, 40), (None, 90, 90)]
)
async def test_the_servers_limit_is_default_and_ceiling(
    serve: Serve, server: float | None, asked: float | None, expected: int
) -> None:
    served = timed(serve, serve().engine.profile, max_thinking_seconds=server)
    (choice,) = await choices_of(served, max_thinking_seconds=asked)
    assert choice["thinking"]["stop"] == "time"
    assert expected < choice["thinking"]["used"] <= expected + 4


async def test_the_rules_of_the_answer_hold_after_a_cut_thought(serve: Serve) -> None:
    served = timed(serve, serve().engine.profile)
    fields = {"response_format": {"type": "json_object"}, "seed": 7, "temperature": 1.0}
    (choice,) = await choices_of(served, max_thinking_seconds=SECONDS, **fields)
    assert choice["thinking"]["stop"] == "time"
    request = served.engine.last_request
    assert request is not None
    assert request.constraint is not None
    assert request.plan.prior_token_ids
    (command,) = request.plan.commands
    assert command.cause is StopCause.TIME
    assert command.after == len(request.plan.prior_token_ids)
    num_prior = len(request.plan.prior_token_ids)
    assert tuple(request.prompt_token_ids[-num_prior:]) == request.plan.prior_token_ids
    assert request.sampling.max_tokens == 300 - num_prior


@pytest.mark.parametrize("value", [0, -1, True, "5", 1e300])
@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
        ("/v1/completions", {"prompt": "Hi"}),
        ("/v1/responses", {"input": "Hi"}),
        ("/v1/messages", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}),
    ],
)
async def test_a_wrong_time_is_named_on_every_endpoint(
    serve: Serve, path: str, fields: dict[str, Any], value: Any
) -> None:
    wrong = {"model": "scripted", **fields, "max_thinking_seconds": value}
    response = await serve().http.post(path, json=wrong)
    assert response.status_code == 400, response.text
    assert "max_thinking_seconds: should be a number of seconds" in response.text


@pytest.mark.parametrize("options", [{"strategy": {"name": "best_of", "n": 2}}, {"kind": "pause"}])
async def test_what_has_no_time_of_its_own_refuses_the_field(
    serve: Serve, options: dict[str, Any]
) -> None:
    response = await serve().chat(max_thinking_seconds=5, thinking_options=options)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "max_thinking_seconds"


def test_the_option_is_off_by_default() -> None:
    assert ServerSettings().max_thinking_seconds is None
