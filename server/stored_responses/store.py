"""Interface of every store of responses that clients may retrieve, continue or resume.

A stored response also contains thoughts that the client has not seen; returning only the visible
part is up to the reader. Each key sees its own responses only. Does not know what the items of a
response are.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from server.errors.api import UnavailableError
from server.stored_responses.running import RunningReply
from server.stored_responses.stored import StoredResponse


class StoreUnavailableError(UnavailableError):
    """503: the store does not respond, so it is unknown what it holds."""

    def __init__(self, problem: str = "it does not respond") -> None:
        super().__init__(
            f"stored responses are not available right now: {problem}",
            "response_store_unavailable",
        )


class ResponseStore(Protocol):
    """A store. Methods that take a `response_id` accept any text.

    All methods that read or change it may raise :class:`StoreUnavailableError`.
    """

    @property
    def is_off(self) -> bool:
        """True if nothing is ever stored."""
        ...

    async def put(self, key_id: str, stored: StoredResponse) -> None:
        """Store a finished response, unless it alone is larger than the store.

        Does not raise where the store is away: the response is stored when it is back.
        """
        ...

    async def get(self, key_id: str, response_id: str) -> StoredResponse | None:
        """Return a response, finished or not; None if it is not stored, or no longer."""
        ...

    async def delete(self, key_id: str, response_id: str) -> bool:
        """Delete a response, which ends if it runs; return whether it was stored."""
        ...

    async def begin(self, key_id: str, stored: StoredResponse) -> RunningReply:
        """Store a response that is about to be written in the background."""
        ...

    async def finish(self, reply: RunningReply) -> None:
        """Store the end of `reply`. Does not raise: see :meth:`put`."""
        ...

    async def cancel(self, key_id: str, response_id: str) -> StoredResponse | None:
        """End a response that runs, and return it once it is finished; None as in :meth:`get`."""
        ...

    def read_events(self, key_id: str, response_id: str, after: int) -> AsyncGenerator[bytes, None]:
        """Yield the frames of a background response after number `after`, until its last one."""
        ...

    async def close(self) -> None:
        """Write what waits to be written, in bounded time, and close all connections."""
        ...


@dataclass(frozen=True, slots=True)
class KeyResponses:
    """View of a store that is restricted to the responses of one key. See `ResponseStore`."""

    store: ResponseStore
    key_id: str

    @property
    def is_off(self) -> bool:
        """True if nothing is ever stored."""
        return self.store.is_off

    async def put(self, stored: StoredResponse) -> None:
        """Store a finished response."""
        await self.store.put(self.key_id, stored)

    async def get(self, response_id: str) -> StoredResponse | None:
        """Return a response."""
        return await self.store.get(self.key_id, response_id)

    async def delete(self, response_id: str) -> bool:
        """Delete a response."""
        return await self.store.delete(self.key_id, response_id)

    async def begin(self, stored: StoredResponse) -> RunningReply:
        """Store a response that is about to be written in the background."""
        return await self.store.begin(self.key_id, stored)

    async def cancel(self, response_id: str) -> StoredResponse | None:
        """End a response that runs, and return it."""
        return await self.store.cancel(self.key_id, response_id)

    def read_events(self, response_id: str, after: int) -> AsyncGenerator[bytes, None]:
        """Yield the frames of a background response after number `after`."""
        return self.store.read_events(self.key_id, response_id, after)
