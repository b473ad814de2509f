"""Response in progress: converts a reply's deltas to events in OpenAI's order, and stores the end.

Whole and streamed responses are built by the same steps, so they cannot differ. Knows nothing of
HTTP.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import count
from typing import Any

from pydantic_core import to_json

from server.api.openai.responses.items import Item, StoredReasoningItem
from server.api.openai.responses.output import OutputStyle, OutputWriter
from server.api.openai.responses.output_items import Event
from server.api.openai.responses.response import ResponseHead
from server.choice.delta import ChoiceResult
from server.errors.api import ApiError
from server.errors.translation import report_error
from server.stored_responses.store import KeyResponses, StoredResponse

# Not one of OpenAI's: sent only where `stream_options` asks for it.
PROGRESS_EVENT = "response.thinking.progress"


@dataclass(frozen=True, slots=True)
class StoreTarget:
    """Store of a response, the items of its input, and those of the conversation before it."""

    store: KeyResponses[Item]
    input: Sequence[Item]
    previous: Sequence[Item]


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
        yield self._number({"type": "response.in_progress", "response": self._head.to_begun()})
        try:
            async with aclosing(self._run()) as events:
                async for event in events:
                    yield self._number(event)
        except Exception as error:
            for event in self._make_failure_events(report_error(error, self._head.reply.account)):
                yield self._number(event)

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
        is_cut = result.finish_reason == "length"
        for event in self._writer.end("incomplete" if is_cut else "completed"):
            yield event
        response = self._head.to_ended(self._writer.output, result)
        # Stored before the last event, so that a client can continue from it at once.
        self._store(response)
        yield {"type": f"response.{response['status']}", "response": response}

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

    def _store(self, response: dict[str, Any]) -> None:
        if self._target is None:
            return
        target = self._target
        context = [*target.previous, *target.input, *self._writer.to_stored_items()]
        num_bytes = len(to_json(response)) + _count_bytes(context) + _count_bytes(target.input)
        target.store.put(StoredResponse(response, target.input, context, num_bytes))


def _count_bytes(items: Iterable[Item]) -> int:
    """Return the approximate size of `items` in memory."""
    return sum(
        len(to_json(item.to_listed()))
        + (len(item.thought.encode()) if isinstance(item, StoredReasoningItem) else 0)
        for item in items
    )
