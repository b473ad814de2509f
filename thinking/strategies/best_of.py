"""Best of n: the reply whose answer the model itself finds most probable.

Chosen by the mean log-probability of the answer's tokens given its own thought.
"""

from dataclasses import dataclass
from typing import ClassVar

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchWriter, Scorer
from thinking.strategies.whole import WholeStrategy


@dataclass(frozen=True, slots=True)
class BestOf(WholeStrategy):
    """A :class:`~thinking.strategies.protocol.Strategy`."""

    name: ClassVar[str] = "best_of"
    needs_scorer: ClassVar[bool] = False

    async def search(self, writer: BranchWriter, scorer: Scorer) -> Branch:
        written = await self.branches.write(writer)
        return max(written, key=lambda branch: branch.answer_confidence)
