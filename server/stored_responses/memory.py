"""Store of responses in memory: bounded, and lost when the server ends.

The least recently used are removed first. Replies that run are not counted: admission limits
their number.
"""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from cachetools import TTLCache

from server.stored_responses.endings import make_last_frame, to_too_large
from server.stored_responses.event_log import EventLog
from server.stored_responses.running import RunningReply
from server.stored_responses.stored import StoredResponse

Place = tuple[str, str]  # ids of a key and a response


@dataclass(frozen=True, slots=True)
class _Entry:
    """A finished response. `events` is None where it was not written in the background."""

    body: bytes
    events: EventLog | None = None

    @property
    def num_bytes(self) -> int:
        return len(self.body) + (self.events.num_bytes if self.events is not None else 0)


class MemoryResponses:
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
        self._finished: TTLCache[Place, _Entry] = TTLCache(
            max_bytes, hours * 3600, timer, getsizeof=lambda entry: entry.num_bytes
        )
        self._running: dict[Place, RunningReply] = {}

    @property
    def is_off(self) -> bool:
        """See :class:`server.stored_responses.store.ResponseStore`; so for all that follow."""
        return self._max_responses == 0

    @property
    def num_stored(self) -> int:
        """The number of finished responses."""
        return len(self._finished)

    @property
    def num_bytes(self) -> int:
        """The size of the finished responses."""
        return int(self._finished.currsize)

    async def put(self, key_id: str, stored: StoredResponse) -> None:
        if not self.is_off:
            self._keep((key_id, stored.response_id), _Entry(stored.to_bytes()))

    async def get(self, key_id: str, response_id: str) -> StoredResponse | None:
        running = self._running.get((key_id, response_id))
        if running is not None:
            return running.stored
        entry = self._finished.get((key_id, response_id))
        return None if entry is None else StoredResponse.from_bytes(entry.body)

    async def delete(self, key_id: str, response_id: str) -> bool:
        running = self._running.pop((key_id, response_id), None)
        if running is not None:
            running.is_deleted = True
            running.cancel()
            return True
        return self._finished.pop((key_id, response_id), None) is not None

    async def begin(self, key_id: str, stored: StoredResponse) -> RunningReply:
        reply = RunningReply(key_id, stored, shows_at_once=True)
        self._running[reply.place] = reply
        return reply

    async def finish(self, reply: RunningReply) -> None:
        self._running.pop(reply.place, None)
        if reply.is_deleted:
            return
        body = reply.stored.to_bytes()
        # A client that polls must learn of the end, even where there is no room for the rest.
        if not self._keep(reply.place, _Entry(body, reply.events)) and not self._keep(
            reply.place, _Entry(body)
        ):
            self._keep(reply.place, _Entry(to_too_large(reply.stored).to_bytes()))

    async def cancel(self, key_id: str, response_id: str) -> StoredResponse | None:
        running = self._running.get((key_id, response_id))
        if running is None:
            return await self.get(key_id, response_id)
        running.cancel()
        await running.wait_ended()
        return running.stored

    async def read_events(
        self, key_id: str, response_id: str, after: int
    ) -> AsyncGenerator[bytes, None]:
        running = self._running.get((key_id, response_id))
        entry = self._finished.get((key_id, response_id))
        events = running.events if running is not None else entry.events if entry else None
        if events is not None:
            async with aclosing(events.read(after)) as frames:
                async for frame in frames:
                    yield frame
        elif entry is not None:  # there was no room for the events
            yield make_last_frame(StoredResponse.from_bytes(entry.body).response, after + 1)

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _keep(self, place: Place, entry: _Entry) -> bool:
        """Keep an entry, and return whether there was room for it."""
        if entry.num_bytes > self._max_bytes:
            return False
        self._finished[place] = entry
        while len(self._finished) > self._max_responses:
            self._finished.popitem()
        return True
