"""Brings the events of a reply that this process writes to Redis, where other servers read them.

Readers here see an event once it is in Redis, too, so that one who has to go on elsewhere finds
all that it has seen; while Redis is away, they see events at once. What Redis has lost or missed
is written again, so an outage that ends before this process does costs nothing.
"""

import asyncio

from server.stored_responses.endings import to_too_large
from server.stored_responses.redis_link import PAUSE_SECONDS
from server.stored_responses.redis_records import (
    MISSING,
    WRITTEN,
    Batch,
    Change,
    RedisRecords,
)
from server.stored_responses.running import RunningReply
from server.stored_responses.store import StoreUnavailableError
from server.stored_responses.stored import StoredResponse

MAX_BATCH = 1_000  # events in one entry


class Publisher:
    """Publishes `reply`, which Redis knows to be begun by `owner`."""

    def __init__(
        self, records: RedisRecords, owner: str, reply: RunningReply, max_bytes: int
    ) -> None:
        self._records = records
        self._owner = owner
        self._reply = reply
        self._max_bytes = max_bytes
        self._num_written = 0
        self._status = reply.stored.status
        self._is_done = False

    async def run(self) -> None:
        """Publish until the end of the reply is in Redis, or no longer wanted there."""
        events = self._reply.events
        while not self._is_done:
            while not events.has_more(self._num_written, is_end_known=False):
                await events.wait_changed()
            try:
                await self._write_next()
            except StoreUnavailableError:
                events.show(len(events.frames))
                await asyncio.sleep(PAUSE_SECONDS)

    async def _write_next(self) -> None:
        events = self._reply.events
        frames = events.frames[self._num_written : self._num_written + MAX_BATCH]
        num_written = self._num_written + len(frames)
        is_end = events.is_ended and num_written == len(events.frames)
        stored = self._reply.stored
        # That of the end comes with the last event.
        status = self._status if stored.is_finished and not is_end else stored.status
        change = Change(
            Batch(frames, num_written - 1, is_end) if frames else None,
            status if status != self._status else "",
            stored if is_end else None,
        )
        answer = await self._records.append(self._reply.place, change)
        if answer == MISSING:
            await self._begin_again(stored)
        elif answer in (WRITTEN, stored.status if is_end else WRITTEN):
            self._num_written, self._status = num_written, status
            events.show(num_written)
            if is_end:
                await self._count()
                self._is_done = True
        else:
            await self._give_up()

    async def _begin_again(self, stored: StoredResponse) -> None:
        """Write what Redis has lost, from its beginning."""
        response = {**stored.response, "status": "in_progress"}
        begun = stored.with_response(response)
        await self._records.begin(self._owner, self._reply.place, begun)
        self._num_written, self._status = 0, begun.status

    async def _count(self) -> None:
        """Count the response; without its events, or its output, if it is too large."""
        place, stored = self._reply.place, self._reply.stored
        body = stored.to_bytes()
        if len(body) + self._reply.events.num_bytes <= self._max_bytes:
            await self._records.count(place, len(body) + self._reply.events.num_bytes)
            return
        await self._records.drop_events(place)
        await self._records.put(
            place, body if len(body) <= self._max_bytes else to_too_large(stored).to_bytes()
        )

    async def _give_up(self) -> None:
        """End a reply that was deleted, or finished by a server that took this one for dead."""
        self._reply.cancel()
        await self._reply.wait_ended()
        self._reply.events.show(len(self._reply.events.frames))
        self._is_done = True
