"""Responses and their events as records in Redis, sealed. Decides nothing about replies.

No record can be read without the sealing keys. Plain to see are the ids of keys and responses,
sizes, times and each response's status.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from server.stored_responses import redis_scripts as scripts
from server.stored_responses.event_log import join_frames, split_frames
from server.stored_responses.redis_link import RedisLink
from server.stored_responses.sealing import RecordSeal, RecordSealError
from server.stored_responses.store import StoreUnavailableError
from server.stored_responses.stored import StoredResponse

Place = tuple[str, str]  # ids of a key and a response
PREFIX = "thinking-server:responses:"
_OF, _EVENTS, _ALIVE = f"{PREFIX}of:", ":events", f"{PREFIX}alive:"
_INDEX, _SIZES = f"{PREFIX}index", f"{PREFIX}sizes"
_RESPONSE_ID = re.compile(r"resp_[0-9a-f]{32}")
# Time for an owner that is away to learn that its reply has been deleted.
_TOMBSTONE_SECONDS = 3600
MISSING, WRITTEN, MOVED, DELETED = "missing", "written", "moved", "deleted"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of the store: responses, bytes of all together, and the age of each in seconds."""

    max_responses: int
    max_bytes: int
    max_seconds: int


@dataclass(frozen=True, slots=True)
class Found:
    """A response in Redis. `is_lost`: it is not finished, and nobody writes it any more."""

    stored: StoredResponse
    is_lost: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames of consecutive events; `last` is the number of the last. `is_end`: none follows."""

    frames: Sequence[bytes]
    last: int
    is_end: bool = False

    def after(self, number: int) -> Sequence[bytes]:
        """Return the frames of the events after `number`."""
        first = self.last - len(self.frames) + 1
        return self.frames[max(0, number + 1 - first) :]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a response that runs: new events, its status and its record, if they change."""

    batch: Batch | None = None
    status: str = ""
    stored: StoredResponse | None = None


class RedisRecords:
    """All methods raise StoreUnavailableError where Redis does not respond.

    A server that shows no sign of life for `lease_seconds` is dead.
    """

    def __init__(
        self, link: RedisLink, seal: RecordSeal, bounds: Bounds, lease_seconds: float
    ) -> None:
        self._link = link
        self._seal = seal
        self._bounds = bounds
        # Half of the lease until the sign has gone, and half until somebody acts upon it: if Redis
        # was away, all signs have gone at first.
        self._half_lease_ms = max(1, int(lease_seconds * 500))

    async def look(self, place: Place) -> Found | None:
        """Return the response at `place`; None: there is none."""
        if _RESPONSE_ID.fullmatch(place[1]) is None:
            return None
        keys = [_hash(place), _INDEX]
        arguments = [_ALIVE, self._half_lease_ms, _name(place), time.time()]
        found = await self._eval(scripts.LOOK, keys, arguments)
        if not found:
            return None
        status, record, is_lost = found
        stored = StoredResponse.from_bytes(self._open(_hash(place), record))
        response = {**stored.response, "status": status.decode()}
        return Found(stored.with_response(response), bool(is_lost))

    async def begin(self, owner: str, place: Place, stored: StoredResponse) -> None:
        """Write a response that `owner` begins, in place of anything that was there."""
        fields = {"status": stored.status, "owner": owner, "record": self._to_record(place, stored)}

        async def write(client: Any) -> None:
            async with client.pipeline(transaction=True) as pipe:
                pipe.delete(_hash(place), _stream(place))
                pipe.hset(_hash(place), mapping=fields)
                pipe.expire(_hash(place), self._bounds.max_seconds)
                pipe.set(_ALIVE + owner, "1", px=self._half_lease_ms)
                await pipe.execute()

        await self._link.run(write)

    async def append(self, place: Place, change: Change) -> str:
        """Change a response that this server writes.

        Returns:
            WRITTEN, or MISSING, or the status that the response has got from somebody else.
        """
        return await self._append(place, change, ["", ""])

    async def append_for_lost(self, place: Place, change: Change, num_events: int) -> str:
        """Change a response with `num_events` events whose owner is dead.

        Returns:
            As above, or MOVED if there are more events by now, or another word if the owner lives.
        """
        return await self._append(place, change, [_ALIVE, num_events])

    async def _append(self, place: Place, change: Change, conditions: list[Any]) -> str:
        record = self._to_record(place, change.stored) if change.stored is not None else b""
        entry: list[Any] = []
        if change.batch is not None:
            frames = self._seal.seal(_stream(place), join_frames(change.batch.frames))
            entry = [change.batch.last + 1, frames, int(change.batch.is_end)]
        arguments = [change.status, record, self._bounds.max_seconds, *conditions, *entry]
        keys = [_hash(place), _stream(place)]
        answer: bytes = await self._eval(scripts.APPEND, keys, arguments)
        return answer.decode()

    async def put(self, place: Place, body: bytes) -> None:
        """Write a finished response."""
        status = StoredResponse.from_bytes(body).status
        fields = {"status": status, "record": self._seal.seal(_hash(place), body)}

        async def write(client: Any) -> None:
            async with client.pipeline(transaction=True) as pipe:
                pipe.hset(_hash(place), mapping=fields)
                pipe.expire(_hash(place), self._bounds.max_seconds)
                await pipe.execute()

        await self._link.run(write)
        await self.count(place, len(body))

    async def count(self, place: Place, num_bytes: int) -> None:
        """Count a finished response, and remove the least recently used that are too many."""
        bounds, now = self._bounds, time.time()
        limits = [now - bounds.max_seconds, bounds.max_responses, bounds.max_bytes]
        arguments = [_OF, _EVENTS, _name(place), num_bytes, now, *limits]
        await self._eval(scripts.COUNT, [_INDEX, _SIZES], arguments)

    async def delete(self, place: Place) -> bool:
        """Delete a response, and return whether there was one."""
        if _RESPONSE_ID.fullmatch(place[1]) is None:
            return False
        keys = [_hash(place), _stream(place), _INDEX, _SIZES]
        return bool(await self._eval(scripts.DELETE, keys, [_name(place), _TOMBSTONE_SECONDS]))

    async def drop_events(self, place: Place) -> None:
        """Remove the events of a response."""
        await self._link.run(lambda client: client.delete(_stream(place)))

    async def request_cancel(self, place: Place) -> None:
        """Ask the owner of a response to end it."""
        await self._eval(scripts.CANCEL, [_hash(place)], [])

    async def beat(self, owner: str, places: Sequence[Place]) -> list[bool]:
        """Show that `owner` lives, and return whether each of its replies is to end."""

        async def write(client: Any) -> list[Any]:
            async with client.pipeline(transaction=False) as pipe:
                pipe.set(_ALIVE + owner, "1", px=self._half_lease_ms)
                for place in places:
                    pipe.hmget(_hash(place), "status", "cancel")
                answers: list[Any] = await pipe.execute()
                return answers[1:]

        answers = await self._link.run(write)
        return [bool(cancel) or status == DELETED.encode() for status, cancel in answers]

    async def read(self, place: Place, after: int, block_seconds: float) -> list[Batch]:
        """Return events after number `after`; wait for some for `block_seconds` if above 0."""
        block = max(1, int(block_seconds * 1000)) if block_seconds else None
        answer = await self._link.run(
            lambda client: client.xread({_stream(place): f"{after + 1}-0"}, 1000, block),
            block_seconds,
        )
        entries = answer[0][1] if answer else []
        return [self._to_batch(place, entry) for entry in entries]

    async def read_last(self, place: Place) -> Batch | None:
        """Return the newest events; None: there are none."""
        entries = await self._link.run(lambda client: client.xrevrange(_stream(place), count=1))
        return self._to_batch(place, entries[0]) if entries else None

    async def close(self) -> None:
        """Close all connections."""
        await self._link.close()

    async def _eval(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        return await self._link.run(
            lambda client: client.eval(script, len(keys), *keys, *arguments)
        )

    def _to_record(self, place: Place, stored: StoredResponse) -> bytes:
        return self._seal.seal(_hash(place), stored.to_bytes())

    def _to_batch(self, place: Place, entry: Any) -> Batch:
        entry_id, fields = entry
        frames = split_frames(self._open(_stream(place), fields[b"frames"]))
        last = int(entry_id.partition(b"-")[0]) - 1
        return Batch(frames, last, fields[b"is_end"] == b"1")

    def _open(self, name: str, record: bytes) -> bytes:
        try:
            return self._seal.open(name, record)
        except RecordSealError as error:
            raise StoreUnavailableError(str(error)) from None


def _name(place: Place) -> str:
    return ":".join(place)


def _hash(place: Place) -> str:
    return _OF + _name(place)


def _stream(place: Place) -> str:
    return _hash(place) + _EVENTS
