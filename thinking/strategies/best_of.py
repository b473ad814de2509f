"""Best of n: chooses the reply of which the model itself is most confident.

A reply is as good as its weakest part: the line of thought, or the answer, with the lowest mean
log-probability. Of the answer alone a model is sure after a wrong thought too.
"""

from dataclasses import dataclass
from typing import ClassVar

from thinking.strategies.protocol import BranchWriter, Scorer, SearchResult
from thinking.strategies.whole import WholeStrategy


@dataclass(frozen=True, slots=True)
class BestOf(WholeStrategy):
    """Best of n, a :class:`~thinking.strategies.protocol.Strategy`."""

    name: ClassVar[str] = "best_of"
    needs_scorer: ClassVar[bool] = False

    async def search(self, writer: BranchWriter, scorer: Scorer) -> SearchResult:
        replies = await self.write_all(writer)
        best = max(replies.written, key=lambda branch: branch.confidence)
        return SearchResult(best, replies.limited_by)
