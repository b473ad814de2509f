"""A thought that is bought in two parts is, token by token, the one that is bought at once.

The model is greedy and sees the last two tokens only, so that nothing but the state decides.
"""

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.engine.scripted_model import RandomLogits
from tests.examples import examples
from tests.server.conftest import STOP_ID, VOCAB_SIZE, Serve, ids, split_events, wants
from tests.server.continuing.conftest import (
    ENDPOINTS,
    FREE,
    INCLUDE,
    ask,
    find_receipts,
    post,
)
from thinking.markers.profile import MarkerProfile

SHOWN = {"include_reasoning": True}


def count_close(profile: MarkerProfile) -> int:
    """Return the number of tokens that a forced close takes."""
    return len(profile.end_token_ids) + len(profile.lead_in_token_ids)


def to_texts(reply: dict[str, Any]) -> tuple[str, str]:
    """Return the thought and the answer of a chat's only choice."""
    message = reply["choices"][0]["message"]
    return message["reasoning"], message["content"]


def check_usage(reply: dict[str, Any]) -> dict[str, Any]:
    """Check the counts of a chat with one choice; return its receipt."""
    (receipt,) = find_receipts(reply)
    usage = reply["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == receipt["used"]
    assert receipt["used"] <= receipt["budget"]
    return receipt


@given(st.integers(0, 40), st.integers(50, 90), st.integers(0, 120), st.data())
@settings(
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_two_parts_are_the_whole(
    serve: Serve, profile: MarkerProfile, seed: int, first: int, second: int, data: st.DataObject
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE, seed), profile, max_model_len=1024)
    options = {
        "grace": data.draw(st.sampled_from([0, 7])),
        "loop_guard": data.draw(st.sampled_from([False, True, {"max_period": 3, "min_tokens": 6}])),
        "wrap_up": data.draw(st.sampled_from(["", "Enough."])) if min(first, second) > 60 else "",
    }
    fields = {"thinking_options": options, **SHOWN, **INCLUDE}
    begun = await post(served, max_thinking_tokens=first, **fields)
    receipt = check_usage(begun)
    if receipt["stop"] in ("natural", "eos"):
        assert "sealed" not in receipt
        return
    going_on = {"sealed": receipt["sealed"], "max_thinking_tokens": second}
    later = await post(served, continue_thinking=going_on, **fields)
    continued = check_usage(later)
    assert continued["budget"] == second
    num_earlier = continued["continued"]
    assert num_earlier <= receipt["used"]
    assert begun["usage"]["prompt_tokens"] + num_earlier <= later["usage"]["prompt_tokens"]
    if receipt["stop"] == "loop":
        return  # its guard begins anew, unlike that of one thought
    uncut = await post(served, max_thinking_tokens=num_earlier + second, **fields)
    thought, answer = to_texts(uncut)
    if continued["used"] == 0:
        return  # closed in the prompt: no thought, and nothing to compare
    if second <= count_close(profile):
        return  # too little for the lead-in, which the one thought had
    assert check_usage(uncut)["used"] == num_earlier + continued["used"]
    assert check_usage(uncut)["stop"] == continued["stop"]
    assert to_texts(later)[1].startswith(answer)  # the reply's limit counts the thought, too
    assert thought.endswith(to_texts(later)[0])


class Endless(RandomLogits):
    """A random model that ends neither thoughts nor replies."""

    def compute_logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """Return the random model's logits, without the ends."""
        logits = super().compute_logits(prompt, output).clone()
        logits[[*ids("</think>"), STOP_ID]] = float("-inf")
        return logits


async def test_a_thought_goes_on_again_and_again(serve: Serve, profile: MarkerProfile) -> None:
    served = serve(Endless(VOCAB_SIZE), profile, max_model_len=1024)
    fields = {"thinking_options": FREE, **INCLUDE, **SHOWN}
    part = 20 + count_close(profile)
    receipt = await ask(served, **fields, max_thinking_tokens=60)
    total = 60 - count_close(profile)
    for _ in range(3):
        going_on = {"sealed": receipt["sealed"], "max_thinking_tokens": part}
        reply = await post(served, **fields, continue_thinking=going_on)
        receipt = check_usage(reply)
        assert receipt["continued"] == total
        assert receipt["used"] == part
        total += 20
    total += count_close(profile)
    whole = await post(served, **fields, max_thinking_tokens=total)
    assert to_texts(reply)[1].startswith(to_texts(whole)[1])
    assert to_texts(whole)[0].endswith(to_texts(reply)[0])


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("is_streamed", [False, True])
async def test_every_endpoint_gives_and_takes_it(
    serve: Serve, name: str, is_streamed: bool
) -> None:
    served, endpoint = serve(RandomLogits(VOCAB_SIZE)), ENDPOINTS[name]
    fields = {"thinking_options": FREE, "stream": is_streamed}

    async def find_last(**more: Any) -> dict[str, Any]:
        body = endpoint.make_body(**fields, **more)
        response = await served.http.post(endpoint.path, json=body)
        assert response.status_code == 200, response.text
        if not is_streamed:
            return find_receipts(response.json())[-1]
        lines = [line for block in split_events(response.text) for line in block.split("\n")]
        texts = [line.removeprefix("data: ") for line in lines if line.startswith("data: {")]
        return find_receipts([json.loads(text) for text in texts])[-1]

    plain = await find_last(max_thinking_tokens=30, min_thinking_tokens=30)
    assert "sealed" not in plain
    assert "continued" not in plain
    first = await find_last(max_thinking_tokens=30, min_thinking_tokens=30, **INCLUDE)
    going_on = {"sealed": first["sealed"], "max_thinking_tokens": 25}
    second = await find_last(continue_thinking=going_on, min_thinking_tokens=25)
    assert second["continued"] == 29
    assert second["used"] == second["budget"] == 25
    assert second["source"] == "continue_thinking.max_thinking_tokens"
    assert "sealed" not in second


async def test_each_choice_has_its_own_and_all_choices_go_on_from_the_one(serve: Serve) -> None:
    served = serve(RandomLogits(VOCAB_SIZE))
    fields = {"n": 3, "temperature": 1.5, "seed": 4, "thinking_options": FREE, **INCLUDE}
    reply = await post(served, max_thinking_tokens=30, min_thinking_tokens=30, **fields)
    sealed = [receipt["sealed"] for receipt in find_receipts(reply)]
    assert len(set(sealed)) == 3
    for one in sealed:
        going_on = {"sealed": one, "max_thinking_tokens": 9}
        later = await post(served, continue_thinking=going_on, min_thinking_tokens=9, **fields)
        assert [receipt["continued"] for receipt in find_receipts(later)] == [29] * 3
        usage = later["usage"]
        assert usage["completion_tokens_details"]["reasoning_tokens"] == 27
        assert usage["prompt_tokens"] == reply["usage"]["prompt_tokens"] + 29


@pytest.mark.parametrize("budget", [0, 1])
async def test_without_room_for_a_close_the_thought_is_closed_in_the_prompt(
    serve: Serve, budget: int
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), max_model_len=1024)
    first = await ask(
        served, max_thinking_tokens=40, min_thinking_tokens=40, thinking_options=FREE, **INCLUDE
    )
    going_on = {"sealed": first["sealed"], "max_thinking_tokens": budget}
    reply = await post(served, continue_thinking=going_on)
    receipt = check_usage(reply)
    assert receipt["used"] == budget
    assert receipt["continued"] == 39
    assert reply["choices"][0]["message"]["content"]
    request = served.engine.last_request
    assert request is not None
    closed = (request.prompt_token_ids[-1] in served.engine.profile.end_token_ids) is (budget == 0)
    assert closed


async def test_the_end_of_the_reply_is_not_the_first_token_after_a_thought_closed_in_the_prompt(
    serve: Serve, profile: MarkerProfile
) -> None:
    # Has nothing to say, and would stop at once.
    served = serve(wants(""), profile)
    first = await ask(served, max_thinking_tokens=60, min_thinking_tokens=60, **INCLUDE)
    going_on = {"sealed": first["sealed"], "max_thinking_tokens": 0}
    reply = await post(served, continue_thinking=going_on)
    assert reply["usage"]["completion_tokens"] > 1


async def test_the_new_part_alone_is_shown(serve: Serve, profile: MarkerProfile) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), profile)
    fields = {"thinking_options": FREE, **INCLUDE, **SHOWN}
    begun = await post(served, max_thinking_tokens=80, min_thinking_tokens=80, **fields)
    (receipt,) = find_receipts(begun)
    going_on = {"sealed": receipt["sealed"], "max_thinking_tokens": 90}
    later = await post(served, continue_thinking=going_on, min_thinking_tokens=90, **fields)
    total = find_receipts(later)[0]["continued"] + 90
    uncut = await post(served, max_thinking_tokens=total, min_thinking_tokens=total, **fields)
    (first, _), (second, _), (whole, _) = to_texts(begun), to_texts(later), to_texts(uncut)
    assert whole.startswith(first)
    assert whole == first + second


async def test_a_thought_cut_by_its_time_goes_on(serve: Serve) -> None:
    served = serve(RandomLogits(VOCAB_SIZE))
    assert served.services.slot.model is not None
    served.services.slot.model.clock = lambda: float(served.engine.num_generated)
    fields = {"thinking_options": FREE, "min_thinking_tokens": 100, "max_thinking_tokens": 100}
    receipt = await ask(served, max_thinking_seconds=20, **fields, **INCLUDE)
    assert receipt["stop"] == "time"
    going_on = {"sealed": receipt["sealed"], "max_thinking_tokens": 100}
    fields["max_thinking_tokens"] = None
    later = await ask(served, continue_thinking=going_on, **fields)
    assert later["continued"] == receipt["used"] - 1
    assert later["stop"] == "budget"


@pytest.mark.parametrize(
    "strategy", [{"name": "best_of", "n": 2}, {"name": "beam", "score_by": "confidence"}]
)
async def test_a_search_gives_the_chosen_thought_and_goes_on_from_one(
    serve: Serve, strategy: dict[str, Any]
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE), max_model_len=1024)
    searching = {"thinking_options": {**FREE, "strategy": strategy}, "temperature": 1.0, "seed": 1}
    plain = {"thinking_options": FREE, "min_thinking_tokens": 30}
    budget = {"max_thinking_tokens": 90, "min_thinking_tokens": 30}
    found = await ask(served, **budget, **searching, **INCLUDE)
    assert found["strategy"] == strategy["name"]
    if found["stop"] not in ("natural", "eos"):
        going_on = {"sealed": found["sealed"], "max_thinking_tokens": 30}
        assert (await ask(served, continue_thinking=going_on, **plain))["continued"] > 0
    receipt = await ask(served, max_thinking_tokens=30, **plain, **INCLUDE)
    going_on = {"sealed": receipt["sealed"], "max_thinking_tokens": 90}
    later = await ask(served, continue_thinking=going_on, **searching)
    assert later["continued"] == 29
    assert later["used"] <= 90
    assert later["strategy"] == strategy["name"]


async def test_of_thoughts_inside_an_answer_the_opening_one_is_sealed(serve: Serve) -> None:
    served = serve(RandomLogits(VOCAB_SIZE))
    gate = {"mode": "every", "tokens": 5, "share": 0.5}
    options = {**FREE, "gate": gate, "segment_tokens": 12}
    receipt = await ask(served, max_thinking_tokens=80, thinking_options=options, **INCLUDE)
    assert receipt["segments"] > 1
    going_on = {"sealed": receipt["sealed"], "max_thinking_tokens": 60}
    later = await ask(served, continue_thinking=going_on, thinking_options=options)
    assert later["continued"] == 39  # half of the budget, without the end marker
    assert later["segments"] > 1
    assert later["used"] <= 60


async def test_a_grammar_and_a_stop_string_hold_for_the_answer(serve: Serve) -> None:
    served = serve(RandomLogits(VOCAB_SIZE))
    fields = {"thinking_options": FREE, "response_format": {"type": "json_object"}, "stop": ["e"]}
    first = await ask(served, max_thinking_tokens=40, min_thinking_tokens=40, **fields, **INCLUDE)
    going_on = {"sealed": first["sealed"], "max_thinking_tokens": 40}
    reply = await post(served, continue_thinking=going_on, min_thinking_tokens=40, **fields)
    assert check_usage(reply)["used"] == 40
    assert "e" not in reply["choices"][0]["message"]["content"]
    request = served.engine.last_request
    assert request is not None
    assert request.constraint is not None
    assert request.plan.earlier_token_ids


async def test_a_filler_has_nothing_to_go_on_with(serve: Serve) -> None:
    served = serve(RandomLogits(VOCAB_SIZE))
    filler = {"max_thinking_tokens": 20, "thinking_options": {"kind": "pause"}}
    receipt = await ask(served, **filler, **INCLUDE)
    assert "sealed" not in receipt


@pytest.mark.parametrize("effort", [None, "low"])
async def test_without_a_budget_the_servers_default_or_the_effort_counts(
    serve: Serve, effort: str | None
) -> None:
    served = serve(default_thinking_tokens=33, effort_tokens={"low": 22})
    first = await ask(served, max_thinking_tokens=30, min_thinking_tokens=30, **INCLUDE)
    given = {} if effort is None else {"reasoning_effort": effort}
    receipt = await ask(served, continue_thinking={"sealed": first["sealed"]}, **given)
    assert receipt["budget"] == (33 if effort is None else 22)
    both = {"sealed": first["sealed"], "max_thinking_tokens": 11}
    assert (await ask(served, continue_thinking=both, **given))["budget"] == 11


async def test_an_echo_shows_no_token_of_the_earlier_thought(serve: Serve) -> None:
    served, endpoint = serve(RandomLogits(VOCAB_SIZE)), ENDPOINTS["completions"]
    first = await ask(served, endpoint, max_thinking_tokens=30, min_thinking_tokens=30, **INCLUDE)
    going_on = {"sealed": first["sealed"], "max_thinking_tokens": 9}
    plain = await post(served, endpoint, max_thinking_tokens=0, echo=True, logprobs=1, max_tokens=9)
    shows = {"echo": True, "logprobs": 1, "max_tokens": 20}
    reply = await post(served, endpoint, continue_thinking=going_on, min_thinking_tokens=9, **shows)
    shown, expected = reply["choices"][0], plain["choices"][0]
    num_prompt = plain["usage"]["prompt_tokens"]
    assert shown["text"].startswith("How many?")
    for name in ("tokens", "token_logprobs", "top_logprobs"):
        assert shown["logprobs"][name][:num_prompt] == expected["logprobs"][name][:num_prompt]
    assert len(shown["logprobs"]["tokens"]) <= num_prompt + reply["usage"]["completion_tokens"] - 9


async def test_the_tokens_of_an_earlier_thought_are_cached_prompt(serve: Serve) -> None:
    served = serve(RandomLogits(VOCAB_SIZE))
    served.engine.count_cached_tokens = lambda request: len(request.prompt_token_ids) // 32 * 32
    first = await ask(served, max_thinking_tokens=90, min_thinking_tokens=90, **INCLUDE)
    going_on = {"sealed": first["sealed"], "max_thinking_tokens": 9}
    reply = await post(served, continue_thinking=going_on)
    usage = reply["usage"]
    num_cached = usage["prompt_tokens_details"]["cached_tokens"]
    assert num_cached > usage["prompt_tokens"] - check_usage(reply)["continued"]
