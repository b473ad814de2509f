"""Protocols of a search strategy, and of the branch writer and the scorer that it uses.

A strategy decides which branches are extended and which of them becomes the reply. It knows
neither how a branch is written (by an engine) nor how it is scored (by a reward model).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from thinking.strategies.branch import Branch
from thinking.strategies.pool import ThinkingPool

STRATEGY_NAMES = ("best_of", "self_consistency", "reward", "beam", "mcts")


class BudgetTooSmallError(Exception):
    """The budget cannot hold the branches.

    `least` is the smallest budget that can; `advice` says what else could be changed.
    """

    def __init__(self, least: int, advice: str) -> None:
        super().__init__(f"needs a thinking budget of at least {least} tokens, {advice}")
        self.least = least


@dataclass(frozen=True, slots=True)
class BranchShare:
    """Most tokens that a branch may take of the budget.

    `thought_tokens` is for its thought with its markers; `total_tokens` includes the trial
    answer. In a search by steps all branches share the whole budget: then both are the whole
    budget, and no grace ends a thought (`has_grace`), as a branch may continue later.
    """

    thought_tokens: int
    total_tokens: int
    has_grace: bool


class BranchWriter(Protocol):
    """Writer of the branches of one reply. Every token is paid from `pool`."""

    @property
    def root(self) -> Branch:
        """Branch without any tokens."""

    @property
    def pool(self) -> ThinkingPool:
        """Budget of the search."""

    async def complete(self, branch: Branch, max_tokens: int) -> Branch:
        """Complete the thought, then answer: at most `max_tokens` in total.

        Raises:
            OverdrawnError: fewer tokens are left.
        """

    async def step(self, branch: Branch, max_tokens: int) -> Branch:
        """Extend the thought to the end of a line or of the thought, by at most `max_tokens`.

        Raises:
            OverdrawnError: fewer tokens are left.
        """

    def decode_answer(self, branch: Branch) -> str:
        """Return the text of the answer so far, as a client would see it."""


class Scorer(Protocol):
    """Rates branches."""

    async def score(self, branches: Sequence[Branch]) -> list[float]:
        """Return a score from 0 to 1 for each branch."""


class Strategy(Protocol):
    """A way to search over thoughts; its fields are its options."""

    @property
    def name(self) -> str:
        """Name on the wire and in metrics."""

    @property
    def num_branches(self) -> int:
        """Largest number of branches that run at the same time."""

    @property
    def needs_scorer(self) -> bool:
        """True if the strategy requires a reward model."""

    def share(self, budget: int, markers: int) -> BranchShare:
        """Return what a branch may take of `budget` tokens, given the tokens of its `markers`.

        Raises:
            BudgetTooSmallError: the budget does not suffice for every branch.
        """

    async def search(self, writer: BranchWriter, scorer: Scorer) -> Branch:
        """Return the branch that becomes the reply; the caller completes it if necessary."""
