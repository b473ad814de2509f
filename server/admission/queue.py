"""The places of the engine, and the line before them.

Invariant: the places that are held are never more than there are, and whoever could be let in
is in: nobody waits beside free places unless it is next and needs more of them than are free.
Each change is made at once, without a wait in between; so there is nothing to lock. Knows
neither requests nor the engine.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from server.admission.line import WaitingLine
from server.admission.metrics import AdmissionMetrics
from server.admission.pace import Pace
from server.admission.refusals import (
    QueueFullError,
    QueueTimeoutError,
    RefusedError,
    TooManyConcurrentError,
)
from server.keys.key import AccessKey


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """`num_places` is asked each time: the engine may be larger than was known at first."""

    num_places: Callable[[], int]
    max_waiting: int


class Ticket:
    """One request's place, waited for or held, until :meth:`leave`. Made by the queue only."""

    def __init__(self, queue: "AdmissionQueue", key: AccessKey, cost: int, since: float) -> None:
        self.key_id, self.priority, self.cost = key.key_id, key.priority, cost
        self.since = since
        self.is_admitted = False
        self.is_over = False
        self.refusal: RefusedError | None = None
        self._called = asyncio.Event()
        self._queue = queue

    async def wait_called(self) -> None:
        """Return when it is let in.

        Raises:
            RefusedError: it had to make room for another.
        """
        await self._called.wait()
        if self.refusal is not None:
            raise self.refusal

    def call(self) -> None:
        """Wake who waits; the queue's."""
        self._called.set()

    def timed_out(self, seconds: float) -> QueueTimeoutError:
        """What to tell a client whose request has waited so long."""
        return QueueTimeoutError(seconds, self._queue.expected_seconds)

    def leave(self) -> None:
        """Give the place back, or stop waiting; the second time does nothing."""
        self._queue.leave(self)


class AdmissionQueue:
    """Lets requests in. `now` is ``time.monotonic`` but in tests."""

    def __init__(
        self,
        limits: QueueLimits,
        metrics: AdmissionMetrics | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._metrics = metrics
        self._now = now
        self._pace = Pace(now)
        self._line: WaitingLine[Ticket] = WaitingLine()
        self._num_held = 0
        self._num_open: Counter[str] = Counter()
        if metrics is not None:
            metrics.read_from(lambda: self.num_waiting, lambda: self.num_held)

    @property
    def num_waiting(self) -> int:
        """Requests in the line."""
        return len(self._line)

    @property
    def num_held(self) -> int:
        """Places that are held."""
        return self._num_held

    @property
    def num_places(self) -> int:
        """Places in all; at least one."""
        return max(1, self._limits.num_places())

    @property
    def fill(self) -> float:
        """How full the line is, 0 to 1."""
        return min(1.0, len(self._line) / max(1, self._limits.max_waiting))

    @property
    def expected_seconds(self) -> int:
        """About how long a request that came now would wait."""
        return self._pace.seconds_until(1 + sum(ticket.cost for ticket in self._line))

    def join(self, key: AccessKey, num_requests: int) -> Ticket:
        """Come for `num_requests` places, all of them at most; see ``ticket.is_admitted``.

        Raises:
            RefusedError: the key has too many requests open, or the line is full.
        """
        limit = key.max_concurrent_requests
        if limit is not None and self._num_open[key.key_id] >= limit:
            raise TooManyConcurrentError(limit, self._pace.seconds_until(1))
        ticket = Ticket(self, key, max(1, num_requests), self._now())
        self._num_open[key.key_id] += 1
        self._line.add(ticket)
        self._let_in()
        if not ticket.is_admitted and len(self._line) > self._limits.max_waiting:
            self._make_room(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """See :meth:`Ticket.leave`."""
        if ticket.is_over:
            return
        ticket.is_over = True
        self._num_open[ticket.key_id] -= 1
        if not self._num_open[ticket.key_id]:
            del self._num_open[ticket.key_id]
        if ticket.is_admitted:
            self._num_held -= ticket.cost
            self._pace.note(ticket.cost)
        else:
            self._line.remove(ticket)
        self._let_in()

    def _make_room(self, newcomer: Ticket) -> None:
        refusal = QueueFullError(self.expected_seconds)
        other = self._line.to_displace(newcomer)
        if other is None or other is newcomer:
            self.leave(newcomer)
            raise refusal
        other.refusal = refusal
        self.leave(other)
        other.call()

    def _let_in(self) -> None:
        """Call whoever is next, as long as there is room."""
        num_places = self.num_places
        while (ticket := self._line.head()) is not None:
            cost = min(ticket.cost, num_places)
            if self._num_held + cost > num_places:
                return
            self._line.serve(ticket)
            ticket.cost = cost
            ticket.is_admitted = True
            self._num_held += cost
            if self._metrics is not None:
                self._metrics.queue_seconds.observe(self._now() - ticket.since)
            ticket.call()
