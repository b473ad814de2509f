"""Whole replies in parallel: the common part of best-of, self-consistency and reward.

Each branch completes its thought and writes a trial answer. Does not choose among them.
"""

import asyncio
from dataclasses import dataclass

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchShare, BranchWriter, BudgetTooSmallError

MIN_ANSWER_TOKENS = 8
MAX_DEFAULT_ANSWER_TOKENS = 256
ANSWER_SHARE = 4  # by default a quarter of a branch's tokens is for its answer


@dataclass(frozen=True, slots=True)
class WholeBranches:
    """Number of replies, and the tokens of each for its trial answer (None: a quarter)."""

    n: int
    answer_tokens: int | None = None

    def share(self, budget: int, markers: int) -> BranchShare:
        """See :meth:`Strategy.share`."""
        total = budget // self.n
        answer = self.answer_tokens
        if answer is None:
            answer = max(MIN_ANSWER_TOKENS, min(MAX_DEFAULT_ANSWER_TOKENS, total // ANSWER_SHARE))
        thought = total - answer
        if thought <= markers:
            raise BudgetTooSmallError(
                self.n * (markers + 1 + answer),
                f"or a smaller n than {self.n}: each branch needs {markers} tokens for its "
                f"markers, 1 for its thought and {answer} for its answer",
            )
        return BranchShare(thought, total, has_grace=True)

    async def write(self, writer: BranchWriter) -> list[Branch]:
        """Write all replies in parallel."""
        each = writer.pool.left // self.n
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(writer.complete(writer.root, each)) for _ in range(self.n)]
        return [task.result() for task in tasks]


@dataclass(frozen=True, slots=True)
class WholeStrategy:
    """Base of the strategies that write whole replies; a subclass chooses among them."""

    branches: WholeBranches

    @property
    def num_branches(self) -> int:
        """See :class:`~thinking.strategies.protocol.Strategy`."""
        return self.branches.n

    def share(self, budget: int, markers: int) -> BranchShare:
        """See :meth:`Strategy.share`."""
        return self.branches.share(budget, markers)
