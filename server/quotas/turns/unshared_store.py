"""Stands for a storage of turns where there is none that all API processes share.

A turn counted by each process alone would be exceeded, so none is begun.
"""

from server.errors.api import BadRequestError
from server.quotas.turns.store import Lease, Opening, TurnTotals


class UnsharedTurnsError(BadRequestError):
    """400: this server cannot count turns."""

    def __init__(self) -> None:
        super().__init__(
            "this server cannot keep the budget of a turn: its processes share no storage "
            "(--quota-storage); leave the turn out",
            code="turn_not_supported",
        )


class UnsharedTurns:
    """See :class:`server.quotas.turns.store.TurnStore`: no turn exists, and none can begin."""

    async def take(
        self, turn: str, opening: Opening, wanted: int, token: str
    ) -> tuple[TurnTotals, int]:
        """Refuse.

        Raises:
            UnsharedTurnsError: always.
        """
        raise UnsharedTurnsError

    async def hold(self, lease: Lease) -> None:
        """Do nothing: there are no leases."""

    async def settle(self, lease: Lease, used: int) -> None:
        """Do nothing: there are no leases."""

    async def read(self, turn: str) -> TurnTotals | None:
        """Return None."""
        return None

    async def close(self) -> None:
        """Do nothing."""
