"""Beam search over steps of thought: expand, score, keep.

Each round writes ``width * expand`` steps, divided among the open branches, and keeps the best
`width` branches. Branches whose thought has ended compete with those still thinking. The best whole
thought wins.
"""

from dataclasses import dataclass
from typing import ClassVar

from thinking.strategies.protocol import BranchWriter, Scorer, SearchResult
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

    @property
    def num_requested(self) -> int | None:
        return None

    async def search(self, writer: BranchWriter, scorer: Scorer) -> SearchResult:
        steps = await self.steps.begin(writer, scorer)
        kept = [ScoredBranch(writer.root, 0.0)]
        while open_branches := [s.branch for s in kept if not s.branch.thought_is_over]:
            each = max(1, self.num_branches // len(open_branches))
            parents = [branch for branch in open_branches for _ in range(each)]
            grown = await steps.expand(parents)
            if not grown:
                break
            ended = [scored for scored in kept if scored.branch.thought_is_over]
            kept = sorted([*ended, *grown], key=lambda scored: -scored.score)[: self.width]
        ended_branches = [s.branch for s in kept if s.branch.thought_is_over]
        return await steps.choose(ended_branches, open_branches)
