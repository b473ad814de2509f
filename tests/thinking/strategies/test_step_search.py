"""Beam and tree search in a toy world, in which one letter per step is right."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinking.strategies.beam import Beam
from thinking.strategies.branch import Branch
from thinking.strategies.mcts import Mcts
from thinking.strategies.pool import OverdrawnError, ThinkingPool
from thinking.strategies.protocol import SearchLimit, SearchResult, Strategy
from thinking.strategies.stepping import Steps

STEP_TOKENS = 4
DEPTH = 6
CHOICES = 4  # a step's first token; 0 is right


class ToyWriter:
    """Writes ``DEPTH`` steps of ``STEP_TOKENS`` tokens, whose first token is drawn at random."""

    answer_room = 100

    def __init__(self, budget: int, seed: int) -> None:
        self.pool = ThinkingPool(budget)
        self._rng = random.Random(seed)
        self.first: Branch | None = None
        self.num_steps = 0
        self.num_whole = 0

    @property
    def root(self) -> Branch:
        return Branch()

    async def complete(
        self, branch: Branch, max_tokens: int, max_answer_tokens: int | None = None
    ) -> Branch:
        assert max_answer_tokens == 0  # steps are judged by their thoughts
        grown = await self._write(branch, max_tokens, DEPTH * STEP_TOKENS)
        is_first = self.first is None
        # The plan of a thought closes it at the end of the budget.
        grown = replace(grown, thought_is_over=grown.thought_is_over or is_first)
        grown = replace(grown, is_thinking=not grown.thought_is_over)
        self.first = self.first or grown
        return grown

    async def step(self, branch: Branch, max_tokens: int) -> Branch:
        self.num_steps += 1
        return await self._write(branch, max_tokens, STEP_TOKENS)

    async def _write(self, branch: Branch, max_tokens: int, wanted: int) -> Branch:
        self.pool.reserve(max_tokens)
        token_ids = list(branch.token_ids)
        end = min(len(token_ids) + min(max_tokens, wanted), DEPTH * STEP_TOKENS)
        await asyncio.sleep(0)  # other branches may run
        while len(token_ids) < end:
            starts = len(token_ids) % STEP_TOKENS == 0
            token_ids.append(self._rng.randrange(CHOICES) if starts else 9)
        self.pool.settle(max_tokens, len(token_ids) - len(branch.token_ids))
        is_over = len(token_ids) >= DEPTH * STEP_TOKENS
        self.num_whole += is_over
        return replace(
            branch,
            token_ids=tuple(token_ids),
            num_hidden=len(token_ids),
            longest_line=STEP_TOKENS,
            is_thinking=not is_over,
            thought_is_over=is_over,
        )

    def decode_answer(self, branch: Branch) -> str:
        return ""


class ToyScorer:
    """Scores a branch by its share of right steps so far."""

    async def score(self, branches: Sequence[Branch]) -> list[float]:
        return [compute_share_right(branch) for branch in branches]


def compute_share_right(branch: Branch) -> float:
    steps = branch.token_ids[::STEP_TOKENS]
    return sum(step == 0 for step in steps) / len(steps) if steps else 0.0


STEPS = Steps(STEP_TOKENS)
SEARCHES: list[Strategy] = [
    Beam(STEPS, width=3, expand=4),
    Mcts(STEPS, expand=6, iterations=200, exploration=0.2),
]


def search(strategy: Strategy, budget: int, seed: int) -> tuple[SearchResult, ToyWriter]:
    writer = ToyWriter(budget, seed)
    return asyncio.run(strategy.search(writer, ToyScorer())), writer


@pytest.mark.parametrize("strategy", SEARCHES, ids=lambda strategy: strategy.name)
def test_a_search_finds_what_chance_would_not(strategy: Strategy) -> None:
    """By chance a quarter of the steps would be right."""
    results = [search(strategy, 800, seed)[0].branch for seed in range(20)]
    assert all(branch.thought_is_over for branch in results)
    mean = sum(map(compute_share_right, results)) / len(results)
    assert mean > 0.7


@settings(deadline=None)
@given(
    budget=st.integers(5, 400),
    seed=st.integers(0, 99),
    strategy=st.sampled_from(
        [
            *SEARCHES,
            Beam(Steps(7), width=1, expand=2),
            Mcts(Steps(5), expand=2, iterations=3, exploration=1.0),
        ]
    ),
)
def test_a_search_never_overdraws_its_pool_and_is_no_worse_than_its_first_thought(
    budget: int, seed: int, strategy: Strategy
) -> None:
    result, writer = search(strategy, budget, seed)
    pool = writer.pool
    assert pool.reserved == 0
    assert len(result.branch.token_ids) <= pool.spent <= budget
    assert writer.first is not None
    assert len(writer.first.token_ids) == min(budget, DEPTH * STEP_TOKENS)
    assert not result.branch.is_thinking
    # No steps are tried that cannot become a thought: its tokens would be spent for nothing.
    assert writer.num_steps == 0 or writer.num_whole >= 2
    assert compute_share_right(result.branch) >= compute_share_right(writer.first)


@pytest.mark.parametrize("strategy", SEARCHES, ids=lambda strategy: strategy.name)
def test_a_budget_for_one_thought_is_spent_on_one(strategy: Strategy) -> None:
    result, writer = search(strategy, DEPTH * STEP_TOKENS + STEP_TOKENS, 1)
    assert result.branch is writer.first
    assert result.limited_by is SearchLimit.POOL


def test_a_thought_that_has_ended_is_not_extended() -> None:
    result, _ = search(SEARCHES[0], 10_000, 1)
    assert len(result.branch.token_ids) == DEPTH * STEP_TOKENS
    assert result.limited_by is None


def test_a_pool_cannot_be_overdrawn() -> None:
    pool = ThinkingPool(10)
    pool.reserve(6)
    with pytest.raises(OverdrawnError):
        pool.reserve(5)
    pool.settle(6, 2)
    assert (pool.left, pool.spent) == (8, 2)
