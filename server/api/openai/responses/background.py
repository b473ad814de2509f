"""Responses in the background: begun, written without their client, and read again by anyone.

A response is written by a task of the server, with the account of the request that created it,
and ends in one way only: as its run ends, or by being cancelled. Readers get its events from the
store, so a client that streams and one that comes back read the same. Does not know where the
store is.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from server.account.account import RequestAccount
from server.api.openai.responses.output_items import Event
from server.api.openai.responses.run import ResponseRun, StoreTarget
from server.errors.api import BadRequestError
from server.http.streaming import format_sse_event
from server.reply.admit import Reserved
from server.state import Services
from server.stored_responses.endings import make_error_frame
from server.stored_responses.running import RunningReply
from server.stored_responses.store import KeyResponses, StoreUnavailableError
from server.stored_responses.stored import UNFINISHED, StoredResponse

MAX_CURSOR = 2**53  # of JSON numbers that all clients read


class FinalState:
    """Takes the final state of a response that ends by itself."""

    def __init__(self) -> None:
        self.stored: StoredResponse | None = None

    async def put(self, stored: StoredResponse) -> None:
        """Keep `stored`."""
        self.stored = stored


@dataclass(frozen=True, slots=True)
class BackgroundWork:
    """A response to be written. `run` puts its end into `final`; `target` has its input."""

    services: Services
    store: KeyResponses
    account: RequestAccount
    reserved: Reserved[Any]
    run: ResponseRun
    target: StoreTarget
    final: FinalState

    async def start(self) -> RunningReply:
        """Store the response as queued, and start the task that writes it.

        Raises:
            StoreUnavailableError: the store does not respond; nothing has begun.
        """
        begun = list(self.run.begin_queued())
        reply = await self.store.begin(self.target.to_stored(begun[-1]["response"]))
        for event in begun:
            reply.events.append(_format(event))
        self.account.hold()
        self.services.background.start(self._write(reply))
        return reply

    async def _write(self, reply: RunningReply) -> None:
        """Write the response to its end, and settle its account."""
        try:
            last = await self._write_unless_cancelled(reply)
        except Exception as error:  # an error of ours, but no reader may wait for ever
            last = self._append_but_last(reply, self.run.end_failed(error))
        finally:
            # Before the end can be seen: who sees it finds its quotas settled.
            await asyncio.shield(self.account.release())
        stored = self.final.stored or reply.stored
        reply.events.append(_format(last))
        reply.end(stored.with_response(last["response"]))
        self.services.response_metrics.ended.labels(reply.stored.status).inc()
        await self.store.store.finish(reply)

    async def _write_unless_cancelled(self, reply: RunningReply) -> Event:
        """Write all events but the last one, which is returned."""
        writing = asyncio.create_task(self._write_events(reply))
        cancelling = asyncio.create_task(reply.wait_cancelled())
        try:
            await asyncio.wait((writing, cancelling), return_when=asyncio.FIRST_COMPLETED)
            if writing.done():
                return writing.result()
        finally:
            for task in (writing, cancelling):
                task.cancel()
            await asyncio.gather(writing, cancelling, return_exceptions=True)
        self.final.stored = None
        return self._append_but_last(reply, self.run.end_cancelled())

    async def _write_events(self, reply: RunningReply) -> Event:
        try:
            await self.reserved.wait()
        except Exception as error:
            return self._append_but_last(reply, self.run.end_failed(error))
        async with aclosing(self.run.stream_work()) as stream:
            async for event in stream:
                response = event.get("response")
                if response is not None and response["status"] not in UNFINISHED:
                    return event
                if response is not None:
                    reply.update(response)
                reply.events.append(_format(event))
        raise AssertionError("a response without an end")

    def _append_but_last(self, reply: RunningReply, events: Iterable[Event]) -> Event:
        *before, last = events
        for event in before:
            reply.events.append(_format(event))
        return last


def parse_cursor(query: Mapping[str, str]) -> int:
    """Return `starting_after`, or -1 for all events.

    Raises:
        BadRequestError: it is not the number of an event.
    """
    text = query.get("starting_after")
    if text is None:
        return -1
    if text.isascii() and text.isdecimal() and len(text) < 17 and int(text) < MAX_CURSOR:
        return int(text)
    raise BadRequestError(
        "starting_after: should be the sequence_number of the last event that was read, an "
        "integer from 0 on",
        param="starting_after",
        code="invalid_value",
    )


def wants_stream(query: Mapping[str, str]) -> bool:
    """Return whether a stored response is to be streamed.

    Raises:
        BadRequestError: `stream` is no truth value.
    """
    text = query.get("stream", "false").lower()
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    message = "stream: should be true or false"
    raise BadRequestError(message, param="stream", code="invalid_value")


def check_background(stored: StoredResponse, param: str, deed: str) -> None:
    """Check that a response was created in the background.

    Raises:
        BadRequestError: it was not.
    """
    if not stored.is_background:
        message = f"{param}: only responses created with background: true can be {deed}"
        raise BadRequestError(message, param=param, code="invalid_value")


async def read_events(
    store: KeyResponses, response_id: str, after: int
) -> AsyncGenerator[bytes, None]:
    """Yield the events after number `after`; a store that goes away ends them with an error.

    The number of that event is the last one before it, so that a client can go on from there.
    """
    async with aclosing(store.read_events(response_id, after)) as frames:
        try:
            async for frame in frames:
                yield frame
        except StoreUnavailableError as error:
            yield make_error_frame(error, max(after, 0))


def _format(event: Event) -> bytes:
    return format_sse_event(event, event["type"])
