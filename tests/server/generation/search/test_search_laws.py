"""The laws of a budget hold for a search over thoughts, whatever its branches do."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.engine.scripted_model import RandomLogits
from tests.examples import examples
from tests.server.conftest import STOP_ID, VOCAB_SIZE, Serve, choice_texts, ids, wants
from tests.server.generation.search.conftest import StartScorer
from thinking.markers.profile import MarkerProfile

STRATEGIES: list[dict[str, Any]] = [
    {"name": "best_of", "n": 3},
    {"name": "best_of", "n": 2, "answer_tokens": 4},
    {"name": "self_consistency", "n": 4, "extract": "last_line"},
    {"name": "reward", "n": 3},
    {"name": "beam", "width": 2, "expand": 2, "step_tokens": 12},
    {"name": "beam", "expand": 3, "step_tokens": 8, "score_by": "confidence"},
    {"name": "mcts", "expand": 2, "step_tokens": 8, "iterations": 5},
    {"name": "mcts", "step_tokens": 16, "score_by": "confidence", "exploration": 1.0},
]
# Those that need no reward model.
OWN_STRATEGIES = [
    *STRATEGIES[:3],
    {"name": "beam", "width": 2, "expand": 2, "step_tokens": 12, "score_by": "confidence"},
    *(wish for wish in STRATEGIES if wish.get("score_by") == "confidence"),
]
BUDGETS = (120, 333)
MARKER_TEXTS = ("think", "[[", "<|")


class Brief:
    """A random model that ends its lines, thoughts and answers after some ten tokens."""

    vocab_size = VOCAB_SIZE

    def __init__(self, seed: int) -> None:
        self._random = RandomLogits(VOCAB_SIZE, seed)
        self._ends = [ids("</think>")[0], ids("\n")[0], STOP_ID]

    def compute_logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """Return the random model's logits, with the ends among its likeliest tokens."""
        logits = self._random.compute_logits(prompt, output).clone()
        logits[self._ends] = 7.5
        return logits


def length_of_thought(candidate: dict[str, str]) -> float:
    return 1 / (1 + len(candidate["thought"]))


@pytest.mark.parametrize("wish", STRATEGIES, ids=lambda wish: "-".join(map(str, wish.values())))
@pytest.mark.parametrize("budget", BUDGETS)
async def test_all_branches_are_counted_and_stay_within_the_one_budget(
    serve: Serve,
    start_scorer: StartScorer,
    profile: MarkerProfile,
    wish: dict[str, Any],
    budget: int,
) -> None:
    scorer = await start_scorer(length_of_thought)
    served = serve(RandomLogits(VOCAB_SIZE), profile, scorer_url=scorer.url, scorer_api="http")
    response = await served.chat(
        max_thinking_tokens=budget,
        max_completion_tokens=2 * budget,
        thinking_options={"strategy": wish},
        seed=1,
    )
    assert response.status_code == 200, response.text
    reply = response.json()
    (choice,) = reply["choices"]
    receipt, usage = choice["thinking"], reply["usage"]
    used = usage["completion_tokens_details"]["reasoning_tokens"]
    assert 0 < used == receipt["used"] <= receipt["budget"] == budget
    assert usage["completion_tokens"] == served.engine.num_generated
    assert used < usage["completion_tokens"] <= 2 * budget
    assert choice["message"]["content"]
    assert not any(text in choice["message"]["content"] for text in MARKER_TEXTS)
    assert "reasoning" not in choice["message"]
    assert (receipt["strategy"], receipt["stop"] != "none") == (wish["name"], True)
    assert receipt["branches"] >= 1
    assert served.engine.num_running == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(40))
@given(
    wish=st.sampled_from(OWN_STRATEGIES),
    seed=st.integers(0, 10_000),
    budget=st.integers(2, 240),
    limit=st.none() | st.integers(4, 300),
    least=st.integers(0, 20),
    num_requests=st.integers(1, 3),
)
async def test_a_budget_is_exact_in_all_interleavings(
    serve: Serve,
    wish: dict[str, Any],
    seed: int,
    budget: int,
    limit: int | None,
    least: int,
    num_requests: int,
) -> None:
    served = serve(Brief(seed))
    least = min(least, budget)
    fields: dict[str, Any] = {"max_thinking_tokens": budget, "min_thinking_tokens": least}
    if limit is not None:
        fields["max_completion_tokens"] = limit
    responses = await asyncio.gather(
        *(
            served.chat(**fields, thinking_options={"strategy": wish}, seed=seed + i, n=1 + i % 2)
            for i in range(num_requests)
        )
    )
    replies = [response.json() for response in responses]
    choices = [choice for reply in replies for choice in reply["choices"]]
    for choice in choices:
        receipt = choice["thinking"]
        assert min(least, receipt["budget"]) <= receipt["used"] <= receipt["budget"] <= budget
        requested, written = receipt["branches_requested"], receipt["branches"]
        assert requested is None or 1 <= written <= requested == wish["n"]
        if requested is not None and written < requested:
            assert receipt["branches_limited_by"] is not None
    for reply in replies:
        used = sum(choice["thinking"]["used"] for choice in reply["choices"])
        assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] == used
        # Counted, not read: a single token may be part of a character, and so no text.
        assert reply["usage"]["completion_tokens"] >= used + len(reply["choices"])
        if limit is not None:
            assert reply["usage"]["completion_tokens"] <= limit * len(reply["choices"])
    generated = sum(reply["usage"]["completion_tokens"] for reply in replies)
    assert generated == served.engine.num_generated
    assert served.engine.num_running == 0


@pytest.mark.parametrize("wish", OWN_STRATEGIES, ids=lambda w: "-".join(map(str, w.values())))
async def test_a_search_that_its_budget_cannot_hold_is_a_single_thought(
    serve: Serve, wish: dict[str, Any]
) -> None:
    """The thought is as long as alone, token for token."""
    fields = {"max_thinking_tokens": 60, "include_reasoning": True, "seed": 3}
    searched = await serve(RandomLogits(VOCAB_SIZE)).chat(
        **fields, thinking_options={"strategy": wish}
    )
    alone = await serve(RandomLogits(VOCAB_SIZE)).chat(**fields)
    (ours,), (single,) = searched.json()["choices"], alone.json()["choices"]
    assert ours["message"]["reasoning"] == single["message"]["reasoning"]
    assert ours["thinking"]["used"] == single["thinking"]["used"]
    assert ours["thinking"]["branches"] == 1
    assert ours["thinking"]["branches_limited_by"] == "budget"


async def test_a_reply_limit_leaves_fewer_branches_and_the_receipt_says_so(serve: Serve) -> None:
    """A thought of 20 tokens; the reply holds two of them beside its answer."""
    served = serve(wants("a" * 18 + "</think>42"))
    fields: dict[str, Any] = {
        "max_thinking_tokens": 480,
        "thinking_options": {"strategy": {"name": "best_of", "n": 5}},
    }
    limited = (await served.chat(**fields, max_completion_tokens=70)).json()["choices"][0]
    whole = (await served.chat(**fields)).json()["choices"][0]
    receipts = [choice["thinking"] for choice in (limited, whole)]
    assert [choice["message"]["content"] for choice in (limited, whole)] == ["42", "42"]
    assert [receipt["branches"] for receipt in receipts] == [2, 5]
    assert [receipt["branches_requested"] for receipt in receipts] == [5, 5]
    limits = [receipt["branches_limited_by"] for receipt in receipts]
    assert limits == ["max_completion_tokens", None]


async def test_a_vote_that_is_decided_ends_the_search(serve: Serve) -> None:
    served = serve(wants("hm</think>42"))
    fields: dict[str, Any] = {
        "max_thinking_tokens": 480,
        "thinking_options": {"strategy": {"name": "self_consistency", "n": 9}},
    }
    receipt = (await served.chat(**fields)).json()["choices"][0]["thinking"]
    assert (receipt["branches"], receipt["branches_limited_by"]) == (5, "vote")


@pytest.mark.parametrize("wish", STRATEGIES[:3], ids=lambda wish: str(wish["name"]))
async def test_streamed_and_plain_agree(serve: Serve, wish: dict[str, Any]) -> None:
    fields = {
        "max_thinking_tokens": 160,
        "max_completion_tokens": 260,
        "thinking_options": {"strategy": wish},
        "seed": 3,
        "n": 2,
    }
    plain = (await serve().chat(**fields)).json()
    events = await serve().events(**fields, stream_options={"include_usage": True})
    contents = [choice["message"]["content"] for choice in plain["choices"]]
    assert choice_texts(events, 2) == contents
    assert events[-1]["usage"] == plain["usage"]
    for choice in plain["choices"]:
        assert choice["thinking"]["used"] <= 160


async def test_each_choice_has_a_search_and_a_budget_of_its_own(serve: Serve) -> None:
    served = serve()
    reply = (
        await served.chat(
            max_thinking_tokens=100, thinking_options={"strategy": "best_of"}, seed=1, n=3
        )
    ).json()
    used = [choice["thinking"]["used"] for choice in reply["choices"]]
    assert all(0 < number <= 100 for number in used)
    assert sum(used) == reply["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert len({choice["message"]["content"] for choice in reply["choices"]}) == 3


async def test_the_chosen_thought_is_shown_to_whoever_may_see_it(serve: Serve) -> None:
    served = serve()
    reply = (
        await served.chat(
            max_thinking_tokens=120,
            thinking_options={"strategy": "best_of"},
            include_reasoning=True,
            seed=1,
        )
    ).json()
    (choice,) = reply["choices"]
    assert choice["message"]["reasoning"]
    assert not any(text in choice["message"]["reasoning"] for text in MARKER_TEXTS)


async def test_branches_together_may_be_longer_than_the_context(serve: Serve) -> None:
    served = serve(max_model_len=200)
    reply = (
        await served.chat(
            max_thinking_tokens=400,
            thinking_options={"strategy": {"name": "self_consistency", "n": 8}},
            seed=1,
        )
    ).json()
    receipt = reply["choices"][0]["thinking"]
    assert (receipt["budget"], receipt["limited_by"]) == (400, None)
    assert 200 < receipt["used"] <= 400


async def test_log_probabilities_are_those_of_the_chosen_answer(serve: Serve) -> None:
    served = serve()
    reply = (
        await served.chat(
            max_thinking_tokens=120,
            thinking_options={"strategy": "best_of"},
            logprobs=True,
            top_logprobs=2,
            max_completion_tokens=200,
            seed=1,
        )
    ).json()
    (choice,) = reply["choices"]
    usage = reply["usage"]
    num_answer = usage["completion_tokens"] - usage["completion_tokens_details"]["reasoning_tokens"]
    assert choice["finish_reason"] == "length"  # or the last token would have no entry
    assert len(choice["logprobs"]["content"]) == num_answer
    assert all(len(entry["top_logprobs"]) <= 2 for entry in choice["logprobs"]["content"])


async def test_a_stop_string_ends_the_chosen_answer(serve: Serve) -> None:
    fields: dict[str, Any] = {
        "max_thinking_tokens": 120,
        "max_completion_tokens": 200,
        "thinking_options": {"strategy": "best_of"},
        "seed": 1,
    }
    whole = (await serve().chat(**fields)).json()["choices"][0]["message"]["content"]
    stop = whole[2:4]
    cut = (await serve().chat(**fields, stop=stop)).json()["choices"][0]
    assert cut["message"]["content"] == whole[: whole.index(stop)]
    assert cut["finish_reason"] == "stop"
