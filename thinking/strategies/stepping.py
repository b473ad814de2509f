"""Steps of thought under one budget: what beam search and tree search have in common.

A step is a line of thought, or as much of it as its allowance holds. Keeps back what the
chosen branch needs to think to its end. Does not know which branch that will be.
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
    """How long a step may be, and how much of the budget is spent on steps at all.

    What remains is for the chosen branch alone, which thinks on to its end.
    """

    step_tokens: int
    share_of_budget: float = 0.75

    def share(self, budget: int, markers: int) -> BranchShare:
        """All of the budget; each branch may be the one that is followed.

        Raises:
            BudgetTooSmallError: there is no room for a single step.
        """
        least = markers + 1 + self.step_tokens
        if budget < least:
            raise BudgetTooSmallError(least, f"or fewer step_tokens than {self.step_tokens}")
        return BranchShare(budget, budget, has_grace=False)

    def compute_reserve(self, writer: BranchWriter) -> int:
        """Tokens that steps must leave; to be asked before the first of them."""
        return writer.pool.left - int(self.share_of_budget * writer.pool.left)

    async def expand(
        self, writer: BranchWriter, scorer: Scorer, branches: Sequence[Branch], reserve: int
    ) -> list[ScoredBranch]:
        """One step on each of `branches` (which may hold one twice), scored, without doubles.

        Empty where the account has no room for a step of each.
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
