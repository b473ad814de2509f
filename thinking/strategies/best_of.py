"""Best of n: chooses the reply whose answer is most probable to the model itself.

The criterion is the mean log-probability of the answer's tokens, given the reply's thought.
"""

from dataclasses import dataclass
from typing import ClassVar

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchWriter, Scorer
from thinking.strategies.whole import WholeStrategy


@dataclass(frozen=True, slots=True)
class BestOf(WholeStrategy):
    """Best of n, a :class:`~thinking.strategies.protocol.Strategy`."""

    name: ClassVar[str] = "best_of"
    needs_scorer: ClassVar[bool] = False

    async def search(self, writer: BranchWriter, scorer: Scorer) -> Branch:
        written = await self.branches.write(writer)
        return max(written, key=lambda branch: branch.answer_confidence)
