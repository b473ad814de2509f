"""The order of waiting requests: by priority, within a priority by start-time fair queueing.

Each key of a priority is a flow (Goyal, Vin and Cheng, 1996): its next request starts, in
virtual time, where its last one ended, but not before now. The earliest start is next, so a key
with many waiting requests delays another key's first one by at most one request. Within a key:
first come, first served. Knows nothing of time, tasks or slots.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

MAX_IDLE_LEVELS = 100


class QueuedItem(Protocol):
    """An item that waits in a queue; compared by identity."""

    @property
    def key_id(self) -> str:
        """The id of the key that it belongs to."""

    @property
    def priority(self) -> int:
        """The priority: higher is served first."""

    @property
    def cost(self) -> int:
        """The share of the resource that it takes; > 0."""


ItemT = TypeVar("ItemT", bound=QueuedItem)


@dataclass(slots=True)
class _Flow(Generic[ItemT]):
    """The waiting items of one key, in the order of arrival; never empty."""

    start: float
    arrival: int
    waiting: dict[ItemT, None] = field(default_factory=dict)

    @property
    def head(self) -> ItemT:
        return next(iter(self.waiting))


class _Level(Generic[ItemT]):
    """The flows of one priority. `_ends`: the end of the last item of each key without a flow."""

    def __init__(self) -> None:
        self.flows: dict[str, _Flow[ItemT]] = {}
        self._now = 0.0
        self._ends: dict[str, float] = {}
        self._num_arrivals = 0

    def add(self, item: ItemT) -> None:
        flow = self.flows.get(item.key_id)
        if flow is None:
            self._num_arrivals += 1
            start = max(self._now, self._ends.pop(item.key_id, 0.0))
            flow = self.flows[item.key_id] = _Flow(start, self._num_arrivals)
        flow.waiting[item] = None

    def peek(self) -> ItemT:
        return min(self.flows.values(), key=lambda flow: (flow.start, flow.arrival)).head

    def serve(self, item: ItemT) -> None:
        flow = self.flows[item.key_id]
        self._now = flow.start
        flow.start += item.cost
        self.remove(item)
        self._ends = {key: end for key, end in self._ends.items() if end > self._now}

    def remove(self, item: ItemT) -> None:
        flow = self.flows[item.key_id]
        del flow.waiting[item]
        if not flow.waiting:
            del self.flows[item.key_id]
            self._ends[item.key_id] = flow.start


class FairQueue(Generic[ItemT]):
    """Waiting items. An item that is served or removed is gone at once."""

    def __init__(self) -> None:
        self._levels: dict[int, _Level[ItemT]] = {}
        self._num_waiting = 0

    def __len__(self) -> int:
        return self._num_waiting

    def __iter__(self) -> Iterator[ItemT]:
        for level in self._levels.values():
            for flow in level.flows.values():
                yield from flow.waiting

    def add(self, item: ItemT) -> None:
        """Append `item` to the flow of its key."""
        if item.priority not in self._levels and len(self._levels) >= MAX_IDLE_LEVELS:
            # Priorities come from clients. What an idle level remembers of its keys is forgotten.
            self._levels = {p: level for p, level in self._levels.items() if level.flows}
        self._levels.setdefault(item.priority, _Level()).add(item)
        self._num_waiting += 1

    def peek(self) -> ItemT | None:
        """Return the next item to be served; None if the queue is empty."""
        busy = [priority for priority, level in self._levels.items() if level.flows]
        return self._levels[max(busy)].peek() if busy else None

    def serve(self, item: ItemT) -> None:
        """Remove `item` as served; it must be the next item."""
        self._levels[item.priority].serve(item)
        self._num_waiting -= 1

    def remove(self, item: ItemT) -> None:
        """Remove `item` unserved."""
        self._levels[item.priority].remove(item)
        self._num_waiting -= 1

    def count_waiting(self, item: ItemT) -> int:
        """Return the number of waiting items with the key and priority of `item`."""
        level = self._levels.get(item.priority)
        flow = level.flows.get(item.key_id) if level is not None else None
        return 0 if flow is None else len(flow.waiting)

    def find_displaced(self, newcomer: ItemT) -> ItemT | None:
        """Return the item to displace for `newcomer` in a full queue; None: no item.

        It is the last item of the longest flow of the lowest priority, if that priority is lower
        than the newcomer's, or if it is the same and the flow is longer than the newcomer's own
        flow, which already includes the newcomer.
        """
        priority = min((p for p, level in self._levels.items() if level.flows), default=None)
        if priority is None or priority > newcomer.priority:
            return None
        longest = max(self._levels[priority].flows.values(), key=lambda flow: len(flow.waiting))
        is_equal = priority == newcomer.priority
        if is_equal and len(longest.waiting) <= self.count_waiting(newcomer):
            return None
        return next(reversed(longest.waiting))
