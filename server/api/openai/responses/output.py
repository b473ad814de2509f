"""Converts the deltas of a reply to its output items and their events.

One item is open at a time: a delta of another kind ends it. Only if thoughts may appear inside the
answer does the thought's item stay open alongside the others; then there is one such item, no
matter how the tokens are split into deltas. Does not know the response around the output.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from server.api.openai.logprobs import LogprobsWriter
from server.api.openai.responses.items import Item, read_item
from server.api.openai.responses.output_items import (
    CallOutput,
    CustomCallOutput,
    Event,
    MessageOutput,
    OutputItem,
    ReasoningOutput,
    ThoughtView,
)
from server.api.openai.responses.parts import Status
from server.api.openai.responses.reasoning_items import StoredReasoningItem
from server.api.openai.responses.toolbox import Toolbox
from server.choice.delta import ChoiceDelta
from server.tools.call import ToolCallDelta


@dataclass(frozen=True, slots=True)
class OutputStyle:
    """Settings of an output. `token` is part of the ids of its items.

    `thinks_inside`: thoughts may appear inside the answer. `toolbox` has the tools to call.
    """

    token: str
    view: ThoughtView = field(default_factory=ThoughtView)
    logprobs: LogprobsWriter | None = None
    thinks_inside: bool = False
    toolbox: Toolbox = field(default_factory=lambda: Toolbox(()))


class OutputWriter:
    """Writes one output.

    Invariant: all items have ended, except the last one and a thought's item that is held open.
    """

    def __init__(self, style: OutputStyle) -> None:
        self._style = style
        self._items: list[OutputItem] = []
        self._ended: dict[int, dict[str, Any]] = {}
        self._call_index: int | None = None
        self._held: ReasoningOutput | None = None

    @property
    def output(self) -> list[dict[str, Any]]:
        """Items that have ended, in the order of their indices."""
        return [item for _, item in sorted(self._ended.items())]

    def begin(self) -> Iterator[Event]:
        """Write the events before any delta: the start of a thought's item that is held open."""
        if self._style.thinks_inside:
            self._held = ReasoningOutput(self._make_id("rs"), 0, self._style.view)
            yield from self._open(self._held)

    def push(self, delta: ChoiceDelta) -> Iterator[Event]:
        """Write the events of a delta."""
        if delta.reasoning:
            yield from self._push_thought(delta.reasoning)
        if delta.content or delta.logprobs:
            yield from self._push_text(delta)
        for call in delta.tool_calls:
            yield from self._push_call(call)

    def end(self, status: Status) -> Iterator[Event]:
        """Write the last events; an output without calls gets a message, which may be empty."""
        if not any(
            isinstance(item, MessageOutput | CallOutput | CustomCallOutput) for item in self._items
        ):
            yield from self._open_message()
        if self._held is not None:
            yield from self._end(self._held, "completed")
        yield from self._end_last(status)

    def end_early(self) -> Iterator[Event]:
        """Write the last events of an output that is given up: items that are open are cut."""
        if self._held is not None and self._held.output_index not in self._ended:
            yield from self._end(self._held, "incomplete")
        if self._last is not None and self._last.output_index not in self._ended:
            yield from self._end(self._last, "incomplete")

    def to_stored_items(self) -> list[Item]:
        """Return the output as a follow-up request uses it: thoughts whole, shown or not."""
        return [_to_stored(item, self._ended[item.output_index]) for item in self._items]

    def _push_thought(self, text: str) -> Iterator[Event]:
        item = self._held or self._last
        if not isinstance(item, ReasoningOutput):
            yield from self._end_last("completed")
            item = ReasoningOutput(self._make_id("rs"), len(self._items), self._style.view)
            yield from self._open(item)
        yield from item.push(text)

    def _push_text(self, delta: ChoiceDelta) -> Iterator[Event]:
        if not isinstance(self._last, MessageOutput):
            yield from self._open_message()
        assert isinstance(self._last, MessageOutput)
        yield from self._last.push(delta.content, delta.logprobs)

    def _push_call(self, delta: ToolCallDelta) -> Iterator[Event]:
        is_call = isinstance(self._last, CallOutput | CustomCallOutput)
        if not is_call or delta.index != self._call_index:
            yield from self._end_last("completed")
            self._call_index = delta.index
            yield from self._open(self._make_call(delta))
        assert isinstance(self._last, CallOutput | CustomCallOutput)
        yield from self._last.push(delta.arguments)

    def _make_call(self, delta: ToolCallDelta) -> CallOutput | CustomCallOutput:
        name, call_id = self._style.toolbox.get_own_name(delta.name or ""), delta.call_id or ""
        if name.takes_text:
            return CustomCallOutput(self._make_id("ctc"), len(self._items), call_id, name)
        return CallOutput(self._make_id("fc"), len(self._items), call_id, name)

    def _open_message(self) -> Iterator[Event]:
        yield from self._end_last("completed")
        item_id = self._make_id("msg")
        yield from self._open(MessageOutput(item_id, len(self._items), self._style.logprobs))

    @property
    def _last(self) -> OutputItem | None:
        return self._items[-1] if self._items else None

    def _make_id(self, prefix: str) -> str:
        return f"{prefix}_{self._style.token}_{len(self._items)}"

    def _open(self, item: OutputItem) -> Iterator[Event]:
        self._items.append(item)
        yield from item.begin()

    def _end_last(self, status: Status) -> Iterator[Event]:
        last = self._last
        if last is not None and last is not self._held:
            yield from self._end(last, status)

    def _end(self, item: OutputItem, status: Status) -> Iterator[Event]:
        events = list(item.end(status))
        self._ended[item.output_index] = item.to_dict(status)
        yield from events


def _to_stored(item: OutputItem, written: dict[str, Any]) -> Item:
    if isinstance(item, ReasoningOutput):
        return StoredReasoningItem(**read_item(written).model_dump(), thought=item.thought)
    return read_item(written)
