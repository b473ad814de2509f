"""One response on its way: from a reply's deltas to events in OpenAI's order, and the store.

The whole response and the streamed one are made by the same steps, so they cannot differ.
Knows nothing of HTTP.
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


@dataclass(frozen=True, slots=True)
class StoreTarget:
    """Where a response is kept and what belongs to it: the items of its input, and all before."""

    store: KeyResponses[Item]
    input: Sequence[Item]
    previous: Sequence[Item]


class ResponseRun:
    """Runs one response, once. `target` None: it is not stored."""

    def __init__(self, head: ResponseHead, style: OutputStyle, target: StoreTarget | None) -> None:
        self._head = head
        self._writer = OutputWriter(style)
        self._target = target
        self._numbers = count()

    async def collect(self) -> dict[str, Any]:
        """The response, once it has ended.

        Raises:
            EngineError: see :func:`server.generation.generate`.
        """
        async with aclosing(self._run()) as events:
            async for event in events:
                last = event
        response: dict[str, Any] = last["response"]
        return response

    async def stream_events(self) -> AsyncGenerator[Event, None]:
        """All events; an error is told as the response's failure and as an error."""
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
        """Events between a response's beginning and its end, which is the last."""
        result: ChoiceResult | None = None
        for event in self._writer.begin():
            yield event
        async with aclosing(self._head.reply.stream_deltas()) as deltas:
            async for delta in deltas:
                result = delta.result or result
                for event in self._writer.push(delta):
                    yield event
        assert result is not None  # a reply that ends without one raises
        is_cut = result.finish_reason == "length"
        for event in self._writer.end("incomplete" if is_cut else "completed"):
            yield event
        response = self._head.to_ended(self._writer.output, result)
        # Before it is told, so that a client may go on from it at once.
        self._store(response)
        yield {"type": f"response.{response['status']}", "response": response}

    def _make_failure_events(self, error: ApiError) -> Iterator[Event]:
        """OpenAI's client knows the first, and raises at the second."""
        yield {
            "type": "response.failed",
            "response": self._head.to_failed(self._writer.output, error),
        }
        told = {"code": error.code, "message": error.message, "param": error.param}
        yield {"type": "error", **told, **error.to_dict()}

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
    """About what `items` take."""
    return sum(
        len(to_json(item.to_listed()))
        + (len(item.thought.encode()) if isinstance(item, StoredReasoningItem) else 0)
        for item in items
    )
