"""Self-consistency: n whole replies, of which the most frequent answer wins.

After Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language
Models" (arXiv 2203.11171). Among replies that agree, the most confident is the reply; a
tie between answers goes to the one that its replies are together more confident of.
"""

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchWriter, Scorer
from thinking.strategies.vote import Extract, vote_of
from thinking.strategies.whole import WholeStrategy


@dataclass(frozen=True, slots=True)
class SelfConsistency(WholeStrategy):
    """A :class:`~thinking.strategies.protocol.Strategy`."""

    extract: Extract = Extract.NUMBER
    name: ClassVar[str] = "self_consistency"
    needs_scorer: ClassVar[bool] = False

    async def search(self, writer: BranchWriter, scorer: Scorer) -> Branch:
        camps: dict[str, list[Branch]] = defaultdict(list)
        for branch in await self.branches.write(writer):
            camps[vote_of(writer.answer_text(branch), self.extract)].append(branch)
        winners = max(camps.values(), key=_weight)
        return max(winners, key=lambda branch: branch.answer_confidence)


def _weight(camp: list[Branch]) -> tuple[int, float]:
    return len(camp), sum(math.exp(branch.answer_confidence) for branch in camp)
