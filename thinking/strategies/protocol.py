"""Protocols of a search strategy, and of the branch writer and the scorer that it uses.

A strategy decides which branches are extended and which of them becomes the reply. It knows
neither how a branch is written (by an engine) nor how it is scored (by a reward model).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from thinking.strategies.branch import Branch
from thinking.strategies.pool import ThinkingPool

STRATEGY_NAMES = ("best_of", "self_consistency", "reward", "beam", "mcts")


class SearchLimit(Enum):
    """Reason why a search wrote fewer branches than requested."""

    POOL = "budget"  # the rest of the budget cannot hold another branch
    REPLY = "max_completion_tokens"  # the answer may need the rest of the reply
    VOTE = "vote"  # no further branch could change which answer wins


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The branch that becomes the reply, and what limited the search; None: nothing did."""

    branch: Branch
    limited_by: SearchLimit | None = None


class BranchWriter(Protocol):
    """Writer of the branches of one reply. Every token is paid from `pool`."""

    @property
    def root(self) -> Branch:
        """Branch without any tokens."""

    @property
    def pool(self) -> ThinkingPool:
        """Budget of the search."""

    @property
    def answer_room(self) -> int:
        """Tokens of the reply that remain for the answer when all of the budget is spent."""

    async def complete(
        self, branch: Branch, max_tokens: int, max_answer_tokens: int | None = None
    ) -> Branch:
        """Complete the thought as if it were the only one, then answer.

        At most `max_tokens` are added in total. The answer is left as soon as it has
        `max_answer_tokens`; None: it may come to its own end.

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
    """A way to search over thoughts; its fields are its options.

    Every strategy first writes one thought as if it were the only one, and returns that one
    unless it finds a better one: a search answers no worse than a single thought.
    """

    @property
    def name(self) -> str:
        """Name on the wire and in metrics."""

    @property
    def num_branches(self) -> int:
        """Largest number of branches that run at the same time."""

    @property
    def num_requested(self) -> int | None:
        """Number of branches that the search writes if nothing limits it; None: it depends."""

    @property
    def needs_scorer(self) -> bool:
        """True if the strategy requires a reward model."""

    async def search(self, writer: BranchWriter, scorer: Scorer) -> SearchResult:
        """Return the branch that becomes the reply; the caller completes its answer."""
