"""Turns of this process alone."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from server.errors.api import ApiError
from server.quotas.turns.store import LEASE_SECONDS, Lease, Opening, TurnTotals

# About 40 MB. No turn in force is dropped to make room: its budget would be full again.
MAX_TURNS = 100_000


class TooManyTurnsError(ApiError):
    """429: no further turn fits the memory; turns in force go on."""

    def __init__(self) -> None:
        super().__init__(
            429,
            "too many turns are in force on this server: use an existing turn's id, or wait until "
            "some have expired",
            type="rate_limit_error",
            param="thinking_options.turn.id",
            code="too_many_turns",
            headers={"retry-after": "60"},
        )


@dataclass(slots=True)
class _Turn:
    """State of a turn; `leases` are amounts and expiry times by token."""

    budget: int
    used: int
    expires: float = 0.0
    leases: dict[str, tuple[int, float]] = field(default_factory=dict)


class MemoryTurns:
    """See :class:`server.quotas.turns.store.TurnStore`. `clock` returns seconds."""

    def __init__(
        self,
        ttl_seconds: float,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self._ttl_seconds = ttl_seconds
        self._lease_seconds = lease_seconds
        # In order of their last use, so that the first ones expire first.
        self._turns: OrderedDict[str, _Turn] = OrderedDict()

    async def take(
        self, turn: str, opening: Opening, wanted: int, token: str
    ) -> tuple[TurnTotals, int]:
        """See :meth:`TurnStore.take`.

        Raises:
            TooManyTurnsError: a new turn does not fit.
        """
        state = self._find(turn)
        if state is None and len(self._turns) >= MAX_TURNS:
            raise TooManyTurnsError
        state = state or _Turn(opening.budget, opening.used)
        totals = _add_up(state)
        if state.budget != opening.budget:
            return totals, 0
        granted = min(wanted, totals.remaining)
        state.leases[token] = granted, self.clock() + self._lease_seconds
        self._touch(turn, state)
        return totals, granted

    async def hold(self, lease: Lease) -> None:
        """See :meth:`TurnStore.hold`."""
        state = self._find(lease.turn) or _Turn(lease.budget, 0)
        state.leases[lease.token] = lease.amount, self.clock() + self._lease_seconds
        self._touch(lease.turn, state)

    async def settle(self, lease: Lease, used: int) -> None:
        """See :meth:`TurnStore.settle`."""
        state = self._find(lease.turn) or _Turn(lease.budget, 0)
        state.leases.pop(lease.token, None)
        state.used += used
        self._touch(lease.turn, state)

    async def read(self, turn: str) -> TurnTotals | None:
        """See :meth:`TurnStore.read`."""
        state = self._find(turn)
        return None if state is None else _add_up(state)

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _touch(self, turn: str, state: _Turn) -> None:
        state.expires = self.clock() + self._ttl_seconds
        self._turns[turn] = state
        self._turns.move_to_end(turn)

    def _find(self, turn: str) -> _Turn | None:
        """Return a turn without its expired leases, after dropping all expired turns."""
        now = self.clock()
        while self._turns and next(iter(self._turns.values())).expires <= now:
            self._turns.popitem(last=False)
        state = self._turns.get(turn)
        if state is not None:
            state.leases = {t: held for t, held in state.leases.items() if held[1] > now}
        return state


def _add_up(state: _Turn) -> TurnTotals:
    reserved = sum(amount for amount, _ in state.leases.values())
    return TurnTotals(state.budget, state.used, reserved)
