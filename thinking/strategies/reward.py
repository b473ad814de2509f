"""Reward: writes n whole replies, from which a reward model chooses.

The scores of replies with the same answer add up, as in weighted best-of-n (arXiv 2206.02336,
2408.03314): a reward model errs now and then, and a single reply that pleases it proves little.
Where all answers differ, the reply with the highest score wins.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchWriter, Scorer, SearchResult
from thinking.strategies.vote import Extract, extract_vote
from thinking.strategies.whole import WholeStrategy

Scored = tuple[float, Branch]


@dataclass(frozen=True, slots=True)
class Reward(WholeStrategy):
    """Choice by reward, a :class:`~thinking.strategies.protocol.Strategy`."""

    name: ClassVar[str] = "reward"
    needs_scorer: ClassVar[bool] = True

    async def search(self, writer: BranchWriter, scorer: Scorer) -> SearchResult:
        replies = await self.write_all(writer)
        scores = await scorer.score(replies.written)
        groups: dict[str, list[Scored]] = defaultdict(list)
        for score, branch in zip(scores, replies.written, strict=True):
            groups[extract_vote(writer.decode_answer(branch), Extract.TEXT)].append((score, branch))
        winners = max(groups.values(), key=lambda group: sum(score for score, _ in group))
        best = max(winners, key=lambda scored: (scored[0], scored[1].confidence))[1]
        return SearchResult(best, replies.limited_by)
