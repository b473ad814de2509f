"""What a strategy is, and what it is given to search with.

A strategy decides which branches are written on and which one becomes the reply. It does
not know how a branch is written (an engine's business) nor scored (a reward model's).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from thinking.strategies.branch import Branch
from thinking.strategies.pool import ThinkingPool

STRATEGY_NAMES = ("best_of", "self_consistency", "reward", "beam", "mcts")


class BudgetTooSmallError(Exception):
    """The budget cannot hold the branches; `least` could, `advice` says what else to change."""

    def __init__(self, least: int, advice: str) -> None:
        super().__init__(f"needs a thinking budget of at least {least} tokens, {advice}")
        self.least = least


@dataclass(frozen=True, slots=True)
class BranchShare:
    """What one branch may take: its thought with its markers, and with the trial answer.

    Steps of a search share the whole budget: then both are all of it, and no grace ends a
    thought (`has_grace`), as a branch goes on later with another part of it.
    """

    thought_tokens: int
    total_tokens: int
    has_grace: bool


class BranchWriter(Protocol):
    """Writes branches of one reply. Every token written is paid from `account`."""

    @property
    def root(self) -> Branch:
        """The reply before its first token."""

    @property
    def account(self) -> ThinkingPool:
        """The budget of the search."""

    async def complete(self, branch: Branch, max_tokens: int) -> Branch:
        """Think to the thought's end, then answer: at most `max_tokens` in all.

        Raises:
            OverdrawnError: fewer are left.
        """

    async def step(self, branch: Branch, max_tokens: int) -> Branch:
        """Think on to the end of a line or of the thought, at most `max_tokens`.

        Raises:
            OverdrawnError: fewer are left.
        """

    def decode_answer(self, branch: Branch) -> str:
        """The answer so far, as a client would see it."""


class Scorer(Protocol):
    """Judges branches."""

    async def score(self, branches: Sequence[Branch]) -> list[float]:
        """How good each is, from 0 to 1."""


class Strategy(Protocol):
    """One way to search over thoughts; its fields are its options."""

    @property
    def name(self) -> str:
        """On the wire and in metrics."""

    @property
    def num_branches(self) -> int:
        """How many run side by side at most."""

    @property
    def needs_scorer(self) -> bool:
        """Whether it can do nothing without a reward model."""

    def share(self, budget: int, markers: int) -> BranchShare:
        """What a branch may take of `budget` tokens; its markers take `markers`.

        Raises:
            BudgetTooSmallError: it is not enough for every branch.
        """

    async def search(self, writer: BranchWriter, scorer: Scorer) -> Branch:
        """The branch that becomes the reply; what it lacks is written by the caller."""
