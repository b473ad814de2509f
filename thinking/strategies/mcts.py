"""Tree search over steps of thought, with UCT.

Kocsis and Szepesvári, "Bandit based Monte-Carlo Planning" (ECML 2006): from the root, go
to the child of the highest mean value plus exploration bonus; at a leaf, grow `expand`
children and give the path the value of the best. A scorer's judgement of a step stands for
the rollout. A branch whose thought has ended has no children: it is chosen from at the end.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchShare, BranchWriter, Scorer
from thinking.strategies.stepping import ScoredBranch, Steps


@dataclass(eq=False, slots=True)
class _Node:
    """A branch in the tree; `value` is the sum over its visits."""

    branch: Branch
    score: float
    parent: "_Node | None" = None
    children: list["_Node"] = field(default_factory=list)
    value: float = 0.0
    visits: int = 0

    @property
    def is_closed(self) -> bool:
        """Whether nothing below it can be grown any more."""
        if self.children:
            return all(child.is_closed for child in self.children)
        return self.branch.thought_is_over

    def compute_bound(self, exploration: float) -> float:
        """Upper confidence compute_bound: mean value and what few visits add to it."""
        assert self.parent is not None  # only children are chosen between
        bonus = math.sqrt(math.log(self.parent.visits) / self.visits)
        return self.value / self.visits + exploration * bonus

    def backpropagate(self, value: float) -> None:
        """Count `value` for this node and all above it."""
        node: _Node | None = self
        while node is not None:
            node.visits += 1
            node.value += value
            node = node.parent


@dataclass(frozen=True, slots=True)
class Mcts:
    """A :class:`~thinking.strategies.protocol.Strategy`."""

    steps: Steps
    expand: int
    iterations: int
    exploration: float
    needs_scorer: bool = True
    name: ClassVar[str] = "mcts"

    @property
    def num_branches(self) -> int:
        return self.expand

    def share(self, budget: int, markers: int) -> BranchShare:
        return self.steps.share(budget, markers)

    async def search(self, writer: BranchWriter, scorer: Scorer) -> Branch:
        reserve = self.steps.compute_reserve(writer)
        root = _Node(writer.root, 0.0)
        for _ in range(self.iterations):
            if root.is_closed:
                break
            leaf = self._select(root)
            grown = await self.steps.expand(writer, scorer, [leaf.branch] * self.expand, reserve)
            if not grown:
                break
            self._grow(leaf, grown)
        return _find_best_leaf(root).branch

    def _select(self, root: _Node) -> _Node:
        node = root
        while node.children:
            open_children = [child for child in node.children if not child.is_closed]
            node = max(open_children, key=lambda child: child.compute_bound(self.exploration))
        return node

    def _grow(self, leaf: _Node, grown: list[ScoredBranch]) -> None:
        """Each child begins with its own score; the path above learns the best of them."""
        leaf.children = [_Node(g.branch, g.score, leaf, value=g.score, visits=1) for g in grown]
        leaf.backpropagate(max(g.score for g in grown))


def _find_best_leaf(root: _Node) -> _Node:
    """A thought that has ended, where there is one; of those, or of all, the best score."""
    leaves, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        waiting += node.children
        if not node.children:
            leaves.append(node)
    return max(leaves, key=lambda leaf: (leaf.branch.thought_is_over, leaf.score))
