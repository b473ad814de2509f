"""Response in progress: converts a reply's deltas to events in OpenAI's order, and stores the end.

Whole, streamed and background responses are built by the same steps, so they cannot differ. Knows
nothing of HTTP.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from server.api.openai.responses.items import Item, MessageItem
from server.api.openai.responses.output import OutputStyle, OutputWriter
from server.api.openai.responses.output_items import Event
from server.api.openai.responses.records import to_records
from server.api.openai.responses.response import ResponseHead
from server.choice.delta import ChoiceResult
from server.errors.api import ApiError
from server.errors.translation import report_error
from server.stored_responses.endings import get_last_event_type
from server.stored_responses.stored import StoredResponse


class ResponseKeeper(Protocol):
    """Receiver of a finished response."""

    async def put(self, stored: StoredResponse) -> None:
        """Keep a response."""
        ...


# Not one of OpenAI's: sent only where `stream_options` asks for it.
PROGRESS_EVENT = "response.thinking.progress"


@dataclass(frozen=True, slots=True)
class StoreTarget:
    """Store of a response, the items of its input, and those of the conversation before it."""

    store: ResponseKeeper
    input: Sequence[Item]
    previous: Sequence[Item]

    def to_stored(self, response: dict[str, Any], output: Sequence[Item] = ()) -> StoredResponse:
        """Return the response with its input and the conversation up to its `output`."""
        given = to_records(self.input)
        context = [*to_records(self.previous), *given, *to_records(output)]
        return StoredResponse(response, given, context)


class ResponseRun:
    """Runs one response, once. `target` is None if the response is not stored."""

    def __init__(self, head: ResponseHead, style: OutputStyle, target: StoreTarget | None) -> None:
        self._head = head
        self._writer = OutputWriter(style)
        self._target = target
        self._numbers = count()

    async def collect(self) -> dict[str, Any]:
        """Return the finished response.

        Raises:
            EngineError: see :func:`server.generation.generate`.
        """
        async with aclosing(self._run()) as events:
            async for event in events:
                last = event
        response: dict[str, Any] = last["response"]
        return response

    async def stream_events(self) -> AsyncGenerator[Event, None]:
        """Yield all events; an error ends them with an error event and a failed response."""
        yield self._number({"type": "response.created", "response": self._head.to_begun()})
        async with aclosing(self.stream_work()) as events:
            async for event in events:
                yield event

    async def stream_prepared(self) -> AsyncGenerator[Event, None]:
        """Yield the events of a response without output; it can be continued from."""
        yield self._number({"type": "response.created", "response": self._head.to_begun()})
        yield self._number({"type": "response.in_progress", "response": self._head.to_begun()})
        response = self._head.to_prepared()
        await self._store(response)
        yield self._number({"type": "response.completed", "response": response})

    def begin_queued(self) -> Iterator[Event]:
        """Yield the events of a response that waits; :meth:`stream_work` has all others."""
        response = self._head.to_begun("queued")
        yield self._number({"type": "response.created", "response": response})
        yield self._number({"type": "response.queued", "response": response})

    async def stream_work(self) -> AsyncGenerator[Event, None]:
        """Yield the events from the beginning of the work on; an error ends them likewise."""
        yield self._number({"type": "response.in_progress", "response": self._head.to_begun()})
        try:
            async with aclosing(self._run()) as events:
                async for event in events:
                    yield self._number(event)
        except Exception as error:
            for event in self.end_failed(error):
                yield event

    def end_failed(self, error: Exception) -> Iterator[Event]:
        """Yield the last events of a response that `error` ends."""
        for event in self._make_failure_events(report_error(error, self._head.reply.account)):
            yield self._number(event)

    def end_cancelled(self) -> Iterator[Event]:
        """Yield the last events of a response that its client ends; what is written stays."""
        for event in self._writer.end_early():
            yield self._number(event)
        response = self._head.to_cancelled(self._writer.output)
        yield self._number({"type": get_last_event_type("cancelled"), "response": response})

    async def _run(self) -> AsyncGenerator[Event, None]:
        """Yield the events between a response's beginning and its end, and that of the end."""
        result: ChoiceResult | None = None
        for event in self._writer.begin():
            yield event
        async with aclosing(self._head.reply.stream_deltas()) as deltas:
            async for delta in deltas:
                result = delta.result or result
                if delta.progress is not None:
                    yield {"type": PROGRESS_EVENT, "thinking": delta.progress.to_dict()}
                for event in self._writer.push(delta):
                    yield event
        assert result is not None  # a reply without a result raises
        if self._head.reply.was_stopped:
            ending = self._writer.end_early()
        else:
            is_cut = result.finish_reason == "length"
            ending = self._writer.end("incomplete" if is_cut else "completed")
        for event in ending:
            yield event
        response = self._head.to_ended(self._writer.output, result)
        # Stored before the last event, so that a client can continue from it at once.
        await self._store(response)
        yield {"type": get_last_event_type(response["status"]), "response": response}

    def _make_failure_events(self, error: ApiError) -> Iterator[Event]:
        """Yield two events, as OpenAI does: its clients raise at the first.

        Others read the second, which ends every stream that fails.
        """
        fields = {"code": error.code, "message": error.message, "param": error.param}
        yield {"type": "error", **fields, **error.to_dict()}
        yield {
            "type": "response.failed",
            "response": self._head.to_failed(self._writer.output, error),
        }

    def _number(self, event: Event) -> Event:
        return {**event, "sequence_number": next(self._numbers)}

    async def _store(self, response: dict[str, Any]) -> None:
        if self._target is not None:
            output = self._writer.to_stored_items()
            if self._head.reply.was_stopped and output:
                # A thought belongs to the message after it.
                output.append(MessageItem(role="assistant", content=""))
            stored = self._target.to_stored(response, output)
            await self._target.store.put(stored)
