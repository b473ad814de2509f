"""Whole replies side by side: what best-of, self-consistency and reward have in common.

Each branch thinks to its end and writes a trial answer. Which one is chosen is not
decided here.
"""

import asyncio
from dataclasses import dataclass

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchShare, BranchWriter, BudgetTooSmallError

MIN_ANSWER_TOKENS = 8
MAX_DEFAULT_ANSWER_TOKENS = 256
ANSWER_SHARE = 4  # of a branch's tokens, a quarter for its answer


@dataclass(frozen=True, slots=True)
class WholeBranches:
    """`n` replies; `answer_tokens` each may take for its trial answer (None: a quarter)."""

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
                f"or a smaller n than {self.n}: each branch has markers of {markers} tokens, one "
                f"to think with and {answer} to answer with",
            )
        return BranchShare(thought, total, has_grace=True)

    async def write(self, writer: BranchWriter) -> list[Branch]:
        """All of them, at once."""
        each = writer.pool.left // self.n
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(writer.complete(writer.root, each)) for _ in range(self.n)]
        return [task.result() for task in tasks]


@dataclass(frozen=True, slots=True)
class WholeStrategy:
    """What every strategy of whole replies shares; how one is chosen is its own."""

    branches: WholeBranches

    @property
    def num_branches(self) -> int:
        """See :class:`~thinking.strategies.protocol.Strategy`."""
        return self.branches.n

    def share(self, budget: int, markers: int) -> BranchShare:
        """See :meth:`Strategy.share`."""
        return self.branches.share(budget, markers)
