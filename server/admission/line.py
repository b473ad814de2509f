"""Who is next: the higher priority first, among equals by start-time fair queueing.

Each key of a priority is a flow (Goyal, Vin and Cheng, 1996): its next request starts, in
virtual time, where its last one ended, but not before now. The earliest start is next, so a key
that has many requests waiting delays another's first by one at most. Within a key: first come,
first served. Knows nothing of time, tasks or places.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """Something that waits in a line; compared by identity."""

    @property
    def key_id(self) -> str:
        """Whose it is."""

    @property
    def priority(self) -> int:
        """Higher goes first."""

    @property
    def cost(self) -> int:
        """How much of what is shared it takes; > 0."""


WaitingT = TypeVar("WaitingT", bound=Waiting)


@dataclass(slots=True)
class _Flow(Generic[WaitingT]):
    """One key's waiting requests, in the order of their arrival; never empty."""

    start: float
    arrival: int
    waiting: dict[WaitingT, None] = field(default_factory=dict)

    @property
    def head(self) -> WaitingT:
        return next(iter(self.waiting))


class _Level(Generic[WaitingT]):
    """The keys of one priority. `_ends`: of keys that do not wait, where their last one ended."""

    def __init__(self) -> None:
        self.flows: dict[str, _Flow[WaitingT]] = {}
        self._now = 0.0
        self._ends: dict[str, float] = {}
        self._num_arrivals = 0

    def add(self, item: WaitingT) -> None:
        flow = self.flows.get(item.key_id)
        if flow is None:
            self._num_arrivals += 1
            start = max(self._now, self._ends.pop(item.key_id, 0.0))
            flow = self.flows[item.key_id] = _Flow(start, self._num_arrivals)
        flow.waiting[item] = None

    def head(self) -> WaitingT:
        return min(self.flows.values(), key=lambda flow: (flow.start, flow.arrival)).head

    def serve(self, item: WaitingT) -> None:
        flow = self.flows[item.key_id]
        self._now = flow.start
        flow.start += item.cost
        self.remove(item)
        self._ends = {key: end for key, end in self._ends.items() if end > self._now}

    def remove(self, item: WaitingT) -> None:
        flow = self.flows[item.key_id]
        del flow.waiting[item]
        if not flow.waiting:
            del self.flows[item.key_id]
            self._ends[item.key_id] = flow.start


class WaitingLine(Generic[WaitingT]):
    """What waits. Whoever is served or leaves is out at once."""

    def __init__(self) -> None:
        self._levels: dict[int, _Level[WaitingT]] = {}
        self._num_waiting = 0

    def __len__(self) -> int:
        return self._num_waiting

    def __iter__(self) -> Iterator[WaitingT]:
        for level in self._levels.values():
            for flow in level.flows.values():
                yield from flow.waiting

    def add(self, item: WaitingT) -> None:
        """Come to the end of one's own flow."""
        self._levels.setdefault(item.priority, _Level()).add(item)
        self._num_waiting += 1

    def head(self) -> WaitingT | None:
        """Who is next."""
        busy = [priority for priority, level in self._levels.items() if level.flows]
        return self._levels[max(busy)].head() if busy else None

    def serve(self, item: WaitingT) -> None:
        """Take out who is served: it must be the head."""
        self._levels[item.priority].serve(item)
        self._num_waiting -= 1

    def remove(self, item: WaitingT) -> None:
        """Take out who leaves unserved."""
        self._levels[item.priority].remove(item)
        self._num_waiting -= 1

    def num_waiting_of(self, item: WaitingT) -> int:
        """How many of its key and priority wait."""
        level = self._levels.get(item.priority)
        flow = level.flows.get(item.key_id) if level is not None else None
        return 0 if flow is None else len(flow.waiting)

    def to_displace(self, newcomer: WaitingT) -> WaitingT | None:
        """Who should make room for `newcomer` in a full line; None: nobody.

        The last of the longest flow of the lowest priority, where that is below the newcomer's,
        or the same and the flow is longer than the newcomer's, which stands in the line already.
        """
        priority = min((p for p, level in self._levels.items() if level.flows), default=None)
        if priority is None or priority > newcomer.priority:
            return None
        longest = max(self._levels[priority].flows.values(), key=lambda flow: len(flow.waiting))
        is_equal = priority == newcomer.priority
        if is_equal and len(longest.waiting) <= self.num_waiting_of(newcomer):
            return None
        return next(reversed(longest.waiting))
