"""Reward: writes n whole replies, from which a reward model chooses.

Ties are broken by the model's own confidence in its answer.
"""

from dataclasses import dataclass
from typing import ClassVar

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchWriter, Scorer
from thinking.strategies.whole import WholeStrategy


@dataclass(frozen=True, slots=True)
class Reward(WholeStrategy):
    """Choice by reward, a :class:`~thinking.strategies.protocol.Strategy`."""

    name: ClassVar[str] = "reward"
    needs_scorer: ClassVar[bool] = True

    async def search(self, writer: BranchWriter, scorer: Scorer) -> Branch:
        written = await self.branches.write(writer)
        scores = await scorer.score(written)
        ranked = zip(scores, written, strict=True)
        return max(ranked, key=lambda pair: (pair[0], pair[1].answer_confidence))[1]
