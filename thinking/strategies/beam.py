"""Beam search over steps of thought: expand, score, keep.

Each round writes ``width * expand`` steps, divided among the open branches, and keeps the best
`width` branches. Branches whose thought has ended compete with those still thinking.
"""

from dataclasses import dataclass
from typing import ClassVar

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchShare, BranchWriter, Scorer
from thinking.strategies.stepping import ScoredBranch, Steps


@dataclass(frozen=True, slots=True)
class Beam:
    """Beam search, a :class:`~thinking.strategies.protocol.Strategy`."""

    steps: Steps
    width: int
    expand: int
    needs_scorer: bool = True
    name: ClassVar[str] = "beam"

    @property
    def num_branches(self) -> int:
        return self.width * self.expand

    def share(self, budget: int, markers: int) -> BranchShare:
        return self.steps.share(budget, markers)

    async def search(self, writer: BranchWriter, scorer: Scorer) -> Branch:
        reserve = self.steps.compute_reserve(writer)
        kept = [ScoredBranch(writer.root, 0.0)]
        while open_branches := [s.branch for s in kept if not s.branch.thought_is_over]:
            each = max(1, self.num_branches // len(open_branches))
            parents = [branch for branch in open_branches for _ in range(each)]
            grown = await self.steps.expand(writer, scorer, parents, reserve)
            if not grown:
                break
            ended = [scored for scored in kept if scored.branch.thought_is_over]
            kept = sorted([*ended, *grown], key=lambda scored: -scored.score)[: self.width]
        return kept[0].branch
