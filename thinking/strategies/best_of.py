"""Best of n: the reply whose answer the model itself finds most probable.

Chosen by the mean log-probability of the answer's tokens given its own thought.
"""

from dataclasses import dataclass
from typing import ClassVar

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchShare, BranchWriter, Scorer
from thinking.strategies.whole import WholeBranches


@dataclass(frozen=True, slots=True)
class BestOf:
    """A :class:`~thinking.strategies.protocol.Strategy`."""

    branches: WholeBranches
    name: ClassVar[str] = "best_of"
    needs_scorer: ClassVar[bool] = False

    @property
    def num_branches(self) -> int:
        return self.branches.n

    def share(self, budget: int, markers: int) -> BranchShare:
        return self.branches.share(budget, markers)

    async def search(self, writer: BranchWriter, scorer: Scorer) -> Branch:
        written = await self.branches.write(writer)
        return max(written, key=lambda branch: branch.answer_confidence)
