"""Self-consistency: writes n whole replies, of which the most frequent answer wins.

After Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models"
(arXiv 2203.11171). Among the replies that agree, the most confident one is chosen. A tie
between answers goes to the answer whose replies have the higher total confidence.
"""

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchWriter, Scorer
from thinking.strategies.vote import Extract, extract_vote
from thinking.strategies.whole import WholeStrategy


@dataclass(frozen=True, slots=True)
class SelfConsistency(WholeStrategy):
    """Majority vote, a :class:`~thinking.strategies.protocol.Strategy`."""

    extract: Extract = Extract.NUMBER
    name: ClassVar[str] = "self_consistency"
    needs_scorer: ClassVar[bool] = False

    async def search(self, writer: BranchWriter, scorer: Scorer) -> Branch:
        groups: dict[str, list[Branch]] = defaultdict(list)
        for branch in await self.branches.write(writer):
            groups[extract_vote(writer.decode_answer(branch), self.extract)].append(branch)
        winners = max(groups.values(), key=_weigh)
        return max(winners, key=lambda branch: branch.answer_confidence)


def _weigh(group: list[Branch]) -> tuple[int, float]:
    return len(group), sum(math.exp(branch.answer_confidence) for branch in group)
