"""Responses that clients may retrieve or continue: bounded, in memory, lost when the server ends.

The least recently used are removed first. A stored response also contains thoughts that the
client has not seen; returning only the visible part is up to the reader. Each key sees its own
responses only. Does not know what the items of a response are.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cachetools import TTLCache

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class StoredResponse(Generic[ItemT]):
    """A stored response. `response` is the object on the wire.

    `input` is the input of this request; `context` is what a follow-up request continues from:
    the earlier items, the input and the output.
    """

    response: Mapping[str, Any]
    input: Sequence[ItemT]
    context: Sequence[ItemT]
    num_bytes: int


class ResponseStore(Generic[ItemT]):
    """Holds at most `max_responses` and `max_bytes`, none older than `hours`.

    `max_responses` 0: stores nothing.
    """

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
        """True if nothing is ever stored."""
        return self._max_responses == 0

    def of(self, key_id: str) -> "KeyResponses[ItemT]":
        """Return the view of the responses that belong to key `key_id`."""
        return KeyResponses(self, key_id)

    def put(self, key_id: str, stored: StoredResponse[ItemT]) -> None:
        """Store a response, unless it alone is larger than the store."""
        if self.is_off or stored.num_bytes > self._max_bytes:
            return
        self._stored[key_id, stored.response["id"]] = stored
        while len(self._stored) > self._max_responses:
            self._stored.popitem()

    def get(self, key_id: str, response_id: str) -> StoredResponse[ItemT] | None:
        """Return the response; None if it is not stored, or no longer."""
        return self._stored.get((key_id, response_id))

    def delete(self, key_id: str, response_id: str) -> bool:
        """Delete a response and return whether it was stored."""
        return self._stored.pop((key_id, response_id), None) is not None


@dataclass(frozen=True, slots=True)
class KeyResponses(Generic[ItemT]):
    """View of a store that is restricted to the responses of one key."""

    store: ResponseStore[ItemT]
    key_id: str

    @property
    def is_off(self) -> bool:
        """True if nothing is ever stored."""
        return self.store.is_off

    def put(self, stored: StoredResponse[ItemT]) -> None:
        """Store a response; see :meth:`ResponseStore.put`."""
        self.store.put(self.key_id, stored)

    def get(self, response_id: str) -> StoredResponse[ItemT] | None:
        """Return a response; see :meth:`ResponseStore.get`."""
        return self.store.get(self.key_id, response_id)

    def delete(self, response_id: str) -> bool:
        """Delete a response; see :meth:`ResponseStore.delete`."""
        return self.store.delete(self.key_id, response_id)
