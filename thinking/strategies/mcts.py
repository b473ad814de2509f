"""Tree search over steps of thought, with UCT.

After Kocsis and Szepesvári, "Bandit based Monte-Carlo Planning" (ECML 2006): from the root,
descend to the child with the highest mean value plus exploration bonus; at a leaf, add
`expand` children and give the path the value of the best. The score of a step replaces the
rollout. A branch whose thought has ended gets no children; it is a candidate for the reply.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar

from thinking.strategies.branch import Branch
from thinking.strategies.protocol import BranchWriter, Scorer, SearchResult
from thinking.strategies.stepping import ScoredBranch, Steps


@dataclass(eq=False, slots=True)
class _Node:
    """Node of the search tree; `value` is the sum over its visits."""

    branch: Branch
    score: float
    parent: "_Node | None" = None
    children: list["_Node"] = field(default_factory=list)
    value: float = 0.0
    visits: int = 0

    @property
    def is_closed(self) -> bool:
        """True if no branch at or below the node can be extended."""
        if self.children:
            return all(child.is_closed for child in self.children)
        return self.branch.thought_is_over

    def compute_bound(self, exploration: float) -> float:
        """Return the upper confidence bound: the mean value plus a bonus for few visits."""
        assert self.parent is not None  # the root is never compared
        bonus = math.sqrt(math.log(self.parent.visits) / self.visits)
        return self.value / self.visits + exploration * bonus

    def backpropagate(self, value: float) -> None:
        """Add a visit with `value` to this node and to all its ancestors."""
        node: _Node | None = self
        while node is not None:
            node.visits += 1
            node.value += value
            node = node.parent


@dataclass(frozen=True, slots=True)
class Mcts:
    """Tree search, a :class:`~thinking.strategies.protocol.Strategy`."""

    steps: Steps
    expand: int
    iterations: int
    exploration: float
    needs_scorer: bool = True
    name: ClassVar[str] = "mcts"

    @property
    def num_branches(self) -> int:
        return self.expand

    @property
    def num_requested(self) -> int | None:
        return None

    async def search(self, writer: BranchWriter, scorer: Scorer) -> SearchResult:
        steps = await self.steps.begin(writer, scorer)
        root = _Node(writer.root, 0.0)
        for _ in range(self.iterations):
            if root.is_closed:
                break
            leaf = self._select(root)
            grown = await steps.expand([leaf.branch] * self.expand)
            if not grown:
                break
            self._grow(leaf, grown)
        leaves = _list_leaves(root)
        ended = [leaf.branch for leaf in leaves if leaf.branch.thought_is_over]
        return await steps.choose(ended, [] if ended else [leaf.branch for leaf in leaves])

    def _select(self, root: _Node) -> _Node:
        node = root
        while node.children:
            open_children = [child for child in node.children if not child.is_closed]
            node = max(open_children, key=lambda child: child.compute_bound(self.exploration))
        return node

    def _grow(self, leaf: _Node, grown: list[ScoredBranch]) -> None:
        """Add children with their own scores, and backpropagate the best score from `leaf`."""
        leaf.children = [_Node(g.branch, g.score, leaf, value=g.score, visits=1) for g in grown]
        leaf.backpropagate(max(g.score for g in grown))


def _list_leaves(root: _Node) -> list[_Node]:
    """Return the leaves below `root`, the best first."""
    leaves, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        waiting += node.children
        if not node.children:
            leaves.append(node)
    return sorted(leaves, key=lambda leaf: -leaf.score)
