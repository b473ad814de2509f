"""Self-consistency: writes n whole replies, of which the most frequent answer wins.

After Wang et al., "Self-Consistency Improves Chain of Thought Reasoning in Language Models"
(arXiv 2203.11171). Among the replies that agree, the most confident one is chosen. A tie
between answers goes to the answer whose replies have the higher total confidence.

Stops as soon as no further reply can change which answer wins, and writes at a time only as
many replies as are needed for that. The idea is that of adaptive consistency (Aggarwal et al.,
arXiv 2305.11860); its stopping rule is a probability, this one is exact: with or without it, the
same answer wins.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchWriter, Scorer, SearchResult
from thinking.strategies.vote import Extract, extract_vote
from thinking.strategies.whole import Replies, WholeStrategy

Votes = Mapping[str, Sequence[Branch]]


@dataclass(frozen=True, slots=True)
class SelfConsistency(WholeStrategy):
    """Majority vote, a :class:`~thinking.strategies.protocol.Strategy`."""

    extract: Extract = Extract.NUMBER
    name: ClassVar[str] = "self_consistency"
    needs_scorer: ClassVar[bool] = False

    async def search(self, writer: BranchWriter, scorer: Scorer) -> SearchResult:
        # Without a limit by the caller: what is counted is usually at the end of an answer.
        replies = Replies(writer, self.branches.n, self.branches.answer_tokens)
        await replies.write(lambda replies: self._count_useful(writer, replies))
        winners = max(self._count_votes(writer, replies).values(), key=_weigh)
        best = max(winners, key=lambda branch: branch.confidence)
        return SearchResult(best, replies.limited_by)

    def _count_useful(self, writer: BranchWriter, replies: Replies) -> int:
        counts = [len(group) for group in self._count_votes(writer, replies).values()]
        return count_deciding_votes(counts, replies.num_waiting + len(replies.cut))

    def _count_votes(self, writer: BranchWriter, replies: Replies) -> Votes:
        groups: dict[str, list[Branch]] = defaultdict(list)
        for branch in replies.written:
            groups[extract_vote(writer.decode_answer(branch), self.extract)].append(branch)
        return groups


def count_deciding_votes(counts: Sequence[int], num_open: int) -> int:
    """Return how many more votes decide at the earliest; 0: the vote is decided.

    `counts` are the votes of each answer so far, `num_open` those that may still be cast.
    """
    first, second = sorted([*counts, 0, 0], reverse=True)[:2]
    # The leader wins with x more votes if first + x > second + (num_open - x).
    return max(0, (second + num_open - first) // 2 + 1)


def _weigh(group: Sequence[Branch]) -> tuple[int, float]:
    return len(group), sum(math.exp(branch.confidence) for branch in group)
