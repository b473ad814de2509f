"""Interface of the storages of turns: a sum a turn, and the leases of running requests on it.

A lease holds tokens for a request until it is settled. It ends by itself if it is not renewed, so
a server that dies holds nothing for long. Knows neither keys nor requests, only names and numbers.
"""

from dataclasses import dataclass
from typing import Protocol

LEASE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class TurnTotals:
    """A turn's budget, what ended requests have used, and what running ones hold; tokens.

    `used` may exceed the budget if answers count.
    """

    budget: int
    used: int
    reserved: int

    @property
    def remaining(self) -> int:
        """The tokens that a further request may reserve, at least 0."""
        return max(0, self.budget - self.used - self.reserved)


@dataclass(frozen=True, slots=True)
class Lease:
    """`amount` tokens of the turn called `turn`, held for one request. `token` is its id."""

    turn: str
    token: str
    budget: int
    amount: int


@dataclass(frozen=True, slots=True)
class Opening:
    """The budget of a turn, and what it has used before its first request here."""

    budget: int
    used: int = 0


class TurnStore(Protocol):
    """A storage of turns. A turn is forgotten a fixed time after its last use."""

    async def take(
        self, turn: str, opening: Opening, wanted: int, token: str
    ) -> tuple[TurnTotals, int]:
        """Lease as much of `wanted` as is left; open the turn if it is unknown.

        Returns the totals without the new lease, and the leased amount. If the turn has another
        budget than `opening`, nothing is changed.

        Raises:
            CounterStorageError: the storage does not respond. The lease may have been made.
        """
        ...

    async def hold(self, lease: Lease) -> None:
        """Renew a lease, whose amount may have changed.

        Raises:
            CounterStorageError: the storage does not respond.
        """
        ...

    async def settle(self, lease: Lease, used: int) -> None:
        """End a lease and charge `used`; also if it, or the turn, has expired.

        Raises:
            CounterStorageError: the storage does not respond. It may have been charged.
        """
        ...

    async def read(self, turn: str) -> TurnTotals | None:
        """Return the totals of a turn; None: it is unknown or forgotten.

        Raises:
            CounterStorageError: the storage does not respond.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
