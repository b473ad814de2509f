"""Store of responses in Redis, shared by all servers that have the same URL.

The server that writes a reply (its owner) keeps its state and events until all is in Redis. A
server that dies is noticed by whoever next asks for one of its replies: it is marked as failed.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from cachetools import LRUCache

from server.stored_responses.endings import (
    DELETED,
    LOST,
    fail,
    make_error_frame,
    make_failure_frames,
    make_last_frame,
)
from server.stored_responses.event_log import join_frames
from server.stored_responses.publishing import Publisher
from server.stored_responses.redis_link import PAUSE_SECONDS
from server.stored_responses.redis_records import (
    MOVED,
    WRITTEN,
    Batch,
    Bounds,
    Change,
    Place,
    RedisRecords,
)
from server.stored_responses.running import RunningReply
from server.stored_responses.store import StoreUnavailableError
from server.stored_responses.stored import StoredResponse

MAX_BEAT_SECONDS = 0.5  # and so about the longest that a cancel takes
MAX_BLOCK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: of one command, and until a server that is not heard of is dead."""

    timeout: float
    lease: float

    @property
    def beat(self) -> float:
        """Seconds between two signs of life."""
        return min(MAX_BEAT_SECONDS, self.lease / 8)

    @property
    def block(self) -> float:
        """Seconds that a reader waits for events in Redis."""
        return min(MAX_BLOCK_SECONDS, self.timeout / 2)


class RedisResponses:
    """See :class:`server.stored_responses.store.ResponseStore` for all methods."""

    def __init__(self, records: RedisRecords, bounds: Bounds, patience: Patience) -> None:
        self._records = records
        self._bounds = bounds
        self._patience = patience
        self._owner = secrets.token_hex(8)
        self._running: dict[Place, RunningReply] = {}
        self._publishing: dict[Place, asyncio.Task[None]] = {}
        self._beating: asyncio.Task[None] | None = None
        # Finished while Redis was away.
        self._unsaved: LRUCache[Place, bytes] = LRUCache(bounds.max_bytes, getsizeof=len)
        self._saving: asyncio.Task[None] | None = None

    @property
    def is_off(self) -> bool:
        return self._bounds.max_responses == 0

    async def put(self, key_id: str, stored: StoredResponse) -> None:
        place, body = (key_id, stored.response_id), stored.to_bytes()
        if self.is_off or len(body) > self._bounds.max_bytes:
            return
        try:
            await self._records.put(place, body)
        except StoreUnavailableError:
            self._unsaved[place] = body
            if self._saving is None or self._saving.done():
                self._saving = asyncio.create_task(self._save())

    async def get(self, key_id: str, response_id: str) -> StoredResponse | None:
        place = (key_id, response_id)
        if (running := self._running.get(place)) is not None:
            return None if running.is_deleted else running.stored
        if (body := self._unsaved.get(place)) is not None:
            return StoredResponse.from_bytes(body)
        found = await self._records.look(place)
        if found is not None and found.is_lost:
            await self._mark_lost(place, found.stored)
            found = await self._records.look(place)
        return None if found is None else found.stored

    async def delete(self, key_id: str, response_id: str) -> bool:
        place = (key_id, response_id)
        is_unsaved = self._unsaved.pop(place, None) is not None
        is_deleted = await self._records.delete(place) or is_unsaved
        if (running := self._running.get(place)) is not None and not running.is_deleted:
            running.is_deleted = is_deleted = True
            running.cancel()
        return is_deleted

    async def begin(self, key_id: str, stored: StoredResponse) -> RunningReply:
        reply = RunningReply(key_id, stored, shows_at_once=False)
        await self._records.begin(self._owner, reply.place, stored)
        self._running[reply.place] = reply
        publisher = Publisher(self._records, self._owner, reply, self._bounds.max_bytes)
        task = asyncio.create_task(publisher.run())
        self._publishing[reply.place] = task
        task.add_done_callback(lambda _: self._forget(reply.place))
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat())
        return reply

    async def finish(self, reply: RunningReply) -> None:
        if (task := self._publishing.get(reply.place)) is not None:
            await asyncio.wait({task}, timeout=self._patience.timeout)

    async def cancel(self, key_id: str, response_id: str) -> StoredResponse | None:
        place = (key_id, response_id)
        if (running := self._running.get(place)) is not None:
            running.cancel()
            await running.wait_ended()
            return running.stored
        stored = await self.get(*place)
        if stored is None or stored.is_finished:
            return stored
        await self._records.request_cancel(place)
        # Its owner ends it, or is dead, which is found out here.
        until = time.monotonic() + 2 * self._patience.lease
        while stored is not None and not stored.is_finished and time.monotonic() < until:
            await asyncio.sleep(self._patience.beat / 2)
            stored = await self.get(*place)
        return stored

    async def read_events(
        self, key_id: str, response_id: str, after: int
    ) -> AsyncGenerator[bytes, None]:
        place = (key_id, response_id)
        running = self._running.get(place)
        frames = self._read_shared(place, after) if running is None else running.events.read(after)
        async with aclosing(frames):
            async for frame in frames:
                yield frame

    async def close(self) -> None:
        # Nobody writes any more: a reply without its end now has none that could be waited for.
        waiting = [t for place, t in self._publishing.items() if self._running[place].is_ended]
        if self._saving is not None and not self._saving.done():
            waiting.append(self._saving)
        if waiting:
            await asyncio.wait(waiting, timeout=2 * self._patience.timeout)
        tasks = [*self._publishing.values(), *filter(None, (self._saving, self._beating))]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._records.close()

    async def _read_shared(self, place: Place, after: int) -> AsyncGenerator[bytes, None]:
        """Yield the events of a reply that another server writes, or has written."""
        seen = after
        while True:
            stored = await self.get(*place)
            if stored is None:
                yield make_error_frame(DELETED, max(seen, 0))
                return
            # Once it is finished, all is there, and otherwise each wait ends with a look at it.
            wait = 0.0 if stored.is_finished else self._patience.block
            while batches := await self._records.read(place, seen, wait):
                if frames := [frame for batch in batches for frame in batch.after(seen)]:
                    yield join_frames(frames)
                seen = batches[-1].last
                if batches[-1].is_end:
                    return
            if stored.is_finished:
                break
        if (end := await self._find_end(place, stored, seen)) is not None:
            yield end

    async def _find_end(self, place: Place, stored: StoredResponse, seen: int) -> bytes | None:
        """Return the last event for a reader who would otherwise not get it."""
        last = await self._records.read_last(place)
        if last is None:  # there was no room for the events
            return make_last_frame(stored.response, seen + 1)
        # One who has seen more events than there are has lost its place.
        return last.frames[-1] if seen > last.last else None

    async def _mark_lost(self, place: Place, stored: StoredResponse) -> None:
        """Finish a reply whose owner is dead, unless somebody else does."""
        failed = fail(stored, LOST)
        answer = MOVED
        while answer == MOVED:
            newest = await self._records.read_last(place)
            number = 0 if newest is None else newest.last + 1
            frames = make_failure_frames(failed.response, number)
            batch = Batch(frames, number + len(frames) - 1, is_end=True)
            change = Change(batch, failed.status, failed)
            answer = await self._records.append_for_lost(place, change, number)
        if answer == WRITTEN:
            await self._records.count(place, len(failed.to_bytes()))

    async def _beat(self) -> None:
        """Show signs of life while there are replies, and end those that are to end."""
        while self._running:
            replies = list(self._running.values())
            try:
                ends = await self._records.beat(self._owner, [reply.place for reply in replies])
            except StoreUnavailableError:
                ends = []
            for reply, is_to_end in zip(replies, ends, strict=False):
                if is_to_end:
                    reply.cancel()
            await asyncio.sleep(self._patience.beat)

    async def _save(self) -> None:
        """Write what was finished while Redis was away."""
        while self._unsaved:
            place = next(iter(self._unsaved))
            try:
                await self._records.put(place, self._unsaved[place])
                self._unsaved.pop(place, None)
            except StoreUnavailableError:
                await asyncio.sleep(PAUSE_SECONDS)

    def _forget(self, place: Place) -> None:
        self._running.pop(place, None)
        self._publishing.pop(place, None)
