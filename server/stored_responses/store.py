"""Responses that clients may come back to: bounded, in memory, lost when the server ends.

The least recently used go first. Thoughts that a client has not seen are kept beside what it
has seen; giving out only the latter is for those who read. Each key has a shelf of its own.
Does not know what the items of a response are.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cachetools import TTLCache

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class StoredResponse(Generic[ItemT]):
    """`response` is the wire's object. `input` is this request's own; `context` is all that a
    follow-up goes on with: what came before, the input and the output."""

    response: Mapping[str, Any]
    input: Sequence[ItemT]
    context: Sequence[ItemT]
    num_bytes: int


class ResponseStore(Generic[ItemT]):
    """At most `max_responses` and `max_bytes`, none older than `hours`; 0 responses: keeps none."""

    def __init__(
        self,
        max_responses: int,
        max_bytes: int,
        hours: float,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_responses = max_responses
        self._max_bytes = max_bytes
        self._stored: TTLCache[tuple[str, str], StoredResponse[ItemT]] = TTLCache(
            max_bytes, hours * 3600, timer, getsizeof=lambda stored: stored.num_bytes
        )

    @property
    def is_off(self) -> bool:
        """Whether nothing is ever kept."""
        return self._max_responses == 0

    def of(self, key_id: str) -> "ResponseShelf[ItemT]":
        """What the holder of this key has stored."""
        return ResponseShelf(self, key_id)

    def put(self, key_id: str, stored: StoredResponse[ItemT]) -> None:
        """Keep a response, unless it alone is larger than the store."""
        if self.is_off or stored.num_bytes > self._max_bytes:
            return
        self._stored[key_id, stored.response["id"]] = stored
        while len(self._stored) > self._max_responses:
            self._stored.popitem()

    def get(self, key_id: str, response_id: str) -> StoredResponse[ItemT] | None:
        """The response, if it is still there."""
        return self._stored.get((key_id, response_id))

    def delete(self, key_id: str, response_id: str) -> bool:
        """Forget a response; whether it was there."""
        return self._stored.pop((key_id, response_id), None) is not None


@dataclass(frozen=True, slots=True)
class ResponseShelf(Generic[ItemT]):
    """One key's part of a store: no other's can be found by it."""

    store: ResponseStore[ItemT]
    key_id: str

    @property
    def is_off(self) -> bool:
        """Whether nothing is ever kept."""
        return self.store.is_off

    def put(self, stored: StoredResponse[ItemT]) -> None:
        """See :meth:`ResponseStore.put`."""
        self.store.put(self.key_id, stored)

    def get(self, response_id: str) -> StoredResponse[ItemT] | None:
        """See :meth:`ResponseStore.get`."""
        return self.store.get(self.key_id, response_id)

    def delete(self, response_id: str) -> bool:
        """See :meth:`ResponseStore.delete`."""
        return self.store.delete(self.key_id, response_id)
