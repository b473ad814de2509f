"""Steps of thought under one budget: the common part of beam search and tree search.

A step is a line of thought, or as much of it as its allowance holds. Keeps a reserve for the
chosen branch to complete its thought. Does not know which branch that will be.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchShare, BranchWriter, BudgetTooSmallError, Scorer

MIN_STEP_TOKENS = 2


@dataclass(frozen=True, slots=True)
class ScoredBranch:
    """A branch with its score, from 0 to 1."""

    branch: Branch
    score: float


@dataclass(frozen=True, slots=True)
class Steps:
    """Longest step, and the share of the budget that all steps together may take.

    The rest is for the chosen branch alone, to complete its thought.
    """

    step_tokens: int
    share_of_budget: float = 0.75

    def share(self, budget: int, markers: int) -> BranchShare:
        """Return the whole budget, as any branch may turn out to be the chosen one.

        Raises:
            BudgetTooSmallError: there is no room for a single step.
        """
        least = markers + 1 + self.step_tokens
        if budget < least:
            raise BudgetTooSmallError(least, f"or fewer step_tokens than {self.step_tokens}")
        return BranchShare(budget, budget, has_grace=False)

    def compute_reserve(self, writer: BranchWriter) -> int:
        """Return the number of tokens that steps must leave; call it before the first step."""
        return writer.pool.left - int(self.share_of_budget * writer.pool.left)

    async def expand(
        self, writer: BranchWriter, scorer: Scorer, branches: Sequence[Branch], reserve: int
    ) -> list[ScoredBranch]:
        """Extend each of `branches` by a step; return the distinct results with their scores.

        A branch may be given more than once. The result is empty if the pool has no room for
        a step of each.
        """
        spendable = writer.pool.left - reserve
        allowance = min(self.step_tokens, spendable // max(1, len(branches)))
        if allowance < MIN_STEP_TOKENS:
            return []
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(writer.step(branch, allowance)) for branch in branches]
        different = {task.result().token_ids: task.result() for task in tasks}
        grown = list(different.values())
        scores = await scorer.score(grown)
        return [ScoredBranch(b, score) for b, score in zip(grown, scores, strict=True)]
