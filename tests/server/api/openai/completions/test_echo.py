"""Echoes, and log-probabilities in the older form: offsets, counts, and the model's own values."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from server.api.openai.logprobs import LOWEST_LOGPROB
from server.engine.scripted_model import RandomLogits, WantedTokens
from tests.examples import examples
from tests.server.api.openai.completions.requests import (
    PROMPT,
    complete,
    get_refusal,
    remove_times,
    stream,
)
from tests.server.conftest import (
    PROFILES,
    SPECIALS,
    STOP_ID,
    TOKENIZER,
    VOCAB_SIZE,
    Serve,
    Served,
    ids,
    make_profile,
    wants,
)

SOURCE = RandomLogits(VOCAB_SIZE)
STOP = TOKENIZER.decode([STOP_ID])


@pytest.fixture
def random_server(serve: Serve) -> Served:
    """Server of a model that writes anything, including bytes that are no character."""
    return serve(SOURCE)


def compute_logprobs(token_ids: list[int]) -> list[float]:
    """Return the log-probability of each token but the first, by softmax."""
    return [
        float(torch.log_softmax(SOURCE.compute_logits(token_ids[:place], ()), 0)[token_ids[place]])
        for place in range(1, len(token_ids))
    ]


def check_places(choice: dict[str, Any]) -> None:
    """Check that each token is in the text at its offset.

    A token after bytes that are no character is added to the text together with them. A special
    token has no text in an answer.
    """
    text, lists = choice["text"], choice["logprobs"]
    offsets = lists["text_offset"]
    assert len({len(column) for column in lists.values()}) == 1
    assert all(before <= after for before, after in pairwise(offsets))
    follows_bytes = False
    for token, offset in zip(lists["tokens"], offsets, strict=True):
        assert 0 <= offset <= len(text)
        if token.startswith("bytes:"):
            follows_bytes = True
        elif token not in SPECIALS:
            begin = text.find(token, offset) if follows_bytes else offset
            assert text[begin : begin + len(token)] == token, (token, offset)
            follows_bytes = False


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(max_size=20), min_size=1, max_size=3),
    st.integers(0, 30),
    st.booleans(),
    st.integers(0, 9),
)
@example(["<think></think>", "\N{SNOWMAN}"], 30, True, 1)
async def test_text_offsets_hold_whatever_comes_and_streams_say_the_same(
    random_server: Served, prompts: list[str], max_tokens: int, echo: bool, seed: int
) -> None:
    fields: dict[str, Any] = {
        "prompt": prompts,
        "max_tokens": max_tokens or int(not echo),
        "echo": echo,
        "seed": seed,
        "temperature": 1,
        "logprobs": 2,
    }
    reply = await complete(random_server, **fields)
    for prompt, choice in zip(prompts, reply["choices"], strict=True):
        assert choice["text"].startswith(prompt if echo else "")
        check_places(choice)
    again = await stream(random_server, **fields)
    assert remove_times(again["choices"]) == remove_times(reply["choices"])
    assert again["usage"] == reply["usage"]
    num_tokens = sum(len(choice["logprobs"]["tokens"]) for choice in reply["choices"])
    num_hidden = reply["usage"]["completion_tokens_details"]["reasoning_tokens"]
    num_echoed = reply["usage"]["prompt_tokens"] if echo else 0
    assert num_tokens == num_echoed + reply["usage"]["completion_tokens"] - num_hidden


@pytest.mark.parametrize("ask", [complete, stream])
@pytest.mark.parametrize("num_choices", [1, 2])
async def test_a_prompt_can_be_measured_alone(serve: Serve, ask: Any, num_choices: int) -> None:
    served = serve(SOURCE)
    prompts = [list(ids(PROMPT)), list(ids("<think>x"))]
    reply = await ask(served, prompt=prompts, echo=True, max_tokens=0, logprobs=1, n=num_choices)
    texts = [text for text in (PROMPT, "<think>x") for _ in range(num_choices)]
    assert [choice["text"] for choice in reply["choices"]] == texts
    for place, choice in enumerate(reply["choices"]):
        first, *measured = choice["logprobs"]["token_logprobs"]
        assert first is None
        assert choice["logprobs"]["top_logprobs"][0] is None
        assert measured == pytest.approx(compute_logprobs(prompts[place // num_choices]), abs=1e-4)
        assert choice["finish_reason"] == "length"
        assert choice["thinking"]["used"] == 0
        check_places(choice)
    assert reply["usage"]["completion_tokens"] == 0
    assert reply["usage"]["prompt_tokens"] == sum(map(len, prompts))
    # One engine request per prompt, of one token, however many choices.
    assert served.engine.num_generated == len(prompts)


@pytest.mark.parametrize("text", ["", "ok"])
async def test_lm_evals_scoring_finds_one_token_behind_the_prompt(serve: Serve, text: str) -> None:
    """It removes the last token, even if that is the end-of-sequence token."""
    served = serve(wants(text))
    reply = await complete(served, prompt=[list(ids(PROMPT))], max_tokens=1, logprobs=1, echo=True)
    (choice,) = reply["choices"]
    assert "".join(choice["logprobs"]["tokens"][:-1]) == PROMPT
    assert choice["logprobs"]["tokens"][-1] == (text[:1] or STOP)
    for logprob, top in zip(
        choice["logprobs"]["token_logprobs"][1:],
        choice["logprobs"]["top_logprobs"][1:],
        strict=True,
    ):
        assert logprob in top.values()
        assert LOWEST_LOGPROB <= logprob <= max(top.values()) <= 0


async def test_echo_without_logprobs_asks_the_engine_for_nothing_more(serve: Serve) -> None:
    served = serve(wants("ok"))
    reply = await complete(served, echo=True, max_thinking_tokens=0)
    assert reply["choices"][0]["text"] == f"{PROMPT}ok"
    assert reply["choices"][0]["logprobs"] is None
    assert served.engine.num_generated == len("ok") + 1


async def test_logprobs_are_of_the_answer_only(serve: Serve) -> None:
    served = serve(wants("secret</think>shown"), PROFILES["opened by the prompt"])
    reply = await complete(served, max_tokens=100, logprobs=5, echo=True)
    (choice,) = reply["choices"]
    lists = choice["logprobs"]
    assert "".join(lists["tokens"]) == f"{PROMPT}shown{STOP}"
    texts = {text for top in lists["top_logprobs"] if top for text in top}
    assert not texts & {"<think>", "</think>"}
    assert all(len(top) <= 6 for top in lists["top_logprobs"] if top)


async def test_offsets_hold_where_text_that_may_be_a_marker_is_held_back(serve: Serve) -> None:
    served = serve(wants("a [[thi [[/think]]"), make_profile("[[think]]", "[[/think]]"))
    for ask in (complete, stream):
        reply = await ask(served, max_thinking_tokens=0, logprobs=0, max_tokens=40)
        check_places(reply["choices"][0])


async def test_tokens_that_are_parts_of_a_character_are_written_as_bytes(serve: Serve) -> None:
    served = serve(wants("é"))
    reply = await complete(served, max_thinking_tokens=0, logprobs=0)
    assert reply["choices"][0]["logprobs"]["tokens"][:2] == ["bytes:\\xc3", "bytes:\\xa9"]
    assert reply["choices"][0]["logprobs"]["text_offset"][:2] == [0, 0]


async def test_a_character_begun_by_the_prompt_is_ended_by_the_answer(serve: Serve) -> None:
    first, second = ids("é")
    served = serve(WantedTokens(VOCAB_SIZE, (second,), STOP_ID))
    reply = await complete(served, prompt=[*ids("caf"), first], max_thinking_tokens=0, echo=True)
    assert reply["choices"][0]["text"] == "café"


async def test_more_logprobs_than_the_engine_gives_are_refused(serve: Serve) -> None:
    served = serve(wants("ok"))
    served.engine.max_logprobs = 3
    error = await get_refusal(served, logprobs=4, echo=True)
    assert error["param"] == "logprobs"
    assert "at most 3" in error["message"]
