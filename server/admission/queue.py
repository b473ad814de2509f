"""The engine's slots, and the queue of requests that wait for them.

Invariants: no more slots are held than exist, and every request that fits is admitted. Requests
wait while slots are free only if the next one needs more slots than are free.
Every change is made without awaiting anything, so no lock is needed. Knows neither requests nor
the engine.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from server.admission.fair_queue import FairQueue
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
    """Limits of the queue.

    `num_slots` is called each time: the engine may turn out larger than first assumed.
    """

    num_slots: Callable[[], int]
    max_waiting: int


class Ticket:
    """The slots of one request, waited for or held, until :meth:`leave`.

    Created by the queue only.
    """

    def __init__(
        self, queue: "AdmissionQueue", key: AccessKey, priority: int, cost: int, since: float
    ) -> None:
        self.key_id, self.priority, self.cost = key.key_id, priority, cost
        self.since = since
        self.is_admitted = False
        self.is_over = False
        self.refusal: RefusedError | None = None
        self._woken = asyncio.Event()
        self._queue = queue

    async def wait_admitted(self) -> None:
        """Wait until the request is admitted.

        Raises:
            RefusedError: the request was displaced by another one.
        """
        await self._woken.wait()
        if self.refusal is not None:
            raise self.refusal

    def wake(self) -> None:
        """Wake the waiting task. Called by the queue only."""
        self._woken.set()

    def to_timeout_error(self, seconds: float) -> QueueTimeoutError:
        """Return the error for a request that has waited `seconds`."""
        return QueueTimeoutError(seconds, self._queue.expected_seconds)

    def leave(self) -> None:
        """Release the slots, or stop waiting; a second call does nothing."""
        self._queue.leave(self)


class AdmissionQueue:
    """Admits requests. `now` is ``time.monotonic`` except in tests."""

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
        self._waiting: FairQueue[Ticket] = FairQueue()
        self._num_held = 0
        self._num_open: Counter[str] = Counter()
        if metrics is not None:
            metrics.read_from(lambda: self.num_waiting, lambda: self.num_held)

    @property
    def num_waiting(self) -> int:
        """The number of waiting requests."""
        return len(self._waiting)

    @property
    def num_held(self) -> int:
        """The number of slots that are held."""
        return self._num_held

    @property
    def num_slots(self) -> int:
        """The total number of slots; at least one."""
        return max(1, self._limits.num_slots())

    @property
    def fill(self) -> float:
        """The fill of the queue, 0 to 1."""
        return min(1.0, len(self._waiting) / max(1, self._limits.max_waiting))

    @property
    def expected_seconds(self) -> int:
        """The estimated wait of a request that would join now, in seconds."""
        return self._pace.estimate_seconds(1 + sum(ticket.cost for ticket in self._waiting))

    def join(self, key: AccessKey, num_requests: int, lowered_by: int = 0) -> Ticket:
        """Request `num_requests` slots, capped at their total; see ``ticket.is_admitted``.

        `lowered_by`: how far below the key's own priority.

        Raises:
            RefusedError: the key has too many open requests, or the queue is full.
        """
        limit = key.max_concurrent_requests
        if limit is not None and self._num_open[key.key_id] >= limit:
            raise TooManyConcurrentError(limit, self._pace.estimate_seconds(1))
        assert lowered_by >= 0  # a request never comes before its key's others
        priority = key.priority - lowered_by
        ticket = Ticket(self, key, priority, max(1, num_requests), self._now())
        self._num_open[key.key_id] += 1
        self._waiting.add(ticket)
        self._admit_next()
        if not ticket.is_admitted and len(self._waiting) > self._limits.max_waiting:
            self._make_room(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Release a ticket; see :meth:`Ticket.leave`."""
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
            self._waiting.remove(ticket)
        self._admit_next()

    def _make_room(self, newcomer: Ticket) -> None:
        refusal = QueueFullError(self.expected_seconds)
        other = self._waiting.find_displaced(newcomer)
        if other is None or other is newcomer:
            self.leave(newcomer)
            raise refusal
        other.refusal = refusal
        self.leave(other)
        other.wake()

    def _admit_next(self) -> None:
        """Admit the next requests for as long as they fit."""
        num_slots = self.num_slots
        while (ticket := self._waiting.peek()) is not None:
            cost = min(ticket.cost, num_slots)
            if self._num_held + cost > num_slots:
                return
            self._waiting.serve(ticket)
            ticket.cost = cost
            ticket.is_admitted = True
            self._num_held += cost
            if self._metrics is not None:
                self._metrics.queue_seconds.observe(self._now() - ticket.since)
            ticket.wake()
