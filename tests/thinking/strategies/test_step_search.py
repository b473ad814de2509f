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
from thinking.strategies.protocol import BudgetTooSmallError, Strategy
from thinking.strategies.stepping import Steps

STEP_TOKENS = 4
DEPTH = 6
CHOICES = 4  # a step's first token; 0 is right


class ToyWriter:
    """Writes ``DEPTH`` steps of ``STEP_TOKENS`` tokens, whose first token is drawn at random."""

    def __init__(self, budget: int, seed: int) -> None:
        self.pool = ThinkingPool(budget)
        self._rng = random.Random(seed)
        self.num_steps = 0

    @property
    def root(self) -> Branch:
        return Branch()

    async def complete(self, branch: Branch, max_tokens: int) -> Branch:
        raise AssertionError("a step search writes no whole replies")

    async def step(self, branch: Branch, max_tokens: int) -> Branch:
        self.pool.reserve(max_tokens)
        used = min(max_tokens, STEP_TOKENS)
        await asyncio.sleep(0)  # other branches may run
        self.pool.settle(max_tokens, used)
        self.num_steps += 1
        token_ids = (*branch.token_ids, self._rng.randrange(CHOICES), *[9] * (used - 1))
        return replace(
            branch,
            token_ids=token_ids,
            num_hidden=len(token_ids),
            thought_is_over=len(token_ids) >= DEPTH * STEP_TOKENS,
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


STEPS = Steps(STEP_TOKENS, share_of_budget=1.0)
SEARCHES: list[Strategy] = [
    Beam(STEPS, width=3, expand=4),
    Mcts(STEPS, expand=6, iterations=200, exploration=0.2),
]


def search(strategy: Strategy, budget: int, seed: int) -> tuple[Branch, ToyWriter]:
    writer = ToyWriter(budget, seed)
    return asyncio.run(strategy.search(writer, ToyScorer())), writer


@pytest.mark.parametrize("strategy", SEARCHES, ids=lambda strategy: strategy.name)
def test_a_search_finds_what_chance_would_not(strategy: Strategy) -> None:
    """By chance a quarter of the steps would be right."""
    results = [search(strategy, 800, seed)[0] for seed in range(20)]
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
            Beam(Steps(7, 0.5), width=1, expand=2),
            Mcts(Steps(5, 0.75), expand=2, iterations=3, exploration=1.0),
        ]
    ),
)
def test_a_search_never_overdraws_its_pool_and_keeps_its_reserve(
    budget: int, seed: int, strategy: Strategy
) -> None:
    branch, writer = search(strategy, budget, seed)
    pool = writer.pool
    assert pool.reserved == 0
    assert pool.spent <= budget
    assert len(branch.token_ids) <= pool.spent
    if isinstance(strategy, Beam | Mcts):
        assert pool.spent <= int(strategy.steps.share_of_budget * budget)


def test_a_thought_that_has_ended_is_not_extended() -> None:
    branch, _ = search(SEARCHES[0], 10_000, 1)
    assert len(branch.token_ids) == DEPTH * STEP_TOKENS


def test_a_pool_cannot_be_overdrawn() -> None:
    pool = ThinkingPool(10)
    pool.reserve(6)
    with pytest.raises(OverdrawnError):
        pool.reserve(5)
    pool.settle(6, 2)
    assert (pool.left, pool.spent) == (8, 2)


@pytest.mark.parametrize("strategy", SEARCHES, ids=lambda strategy: strategy.name)
def test_a_budget_without_room_for_a_step_is_refused(strategy: Strategy) -> None:
    with pytest.raises(BudgetTooSmallError, match="at least 7"):
        strategy.share(6, markers=2)
    assert strategy.share(7, markers=2).thought_tokens == 7
