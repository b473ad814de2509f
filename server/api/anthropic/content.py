"""Content blocks of a reply, as the events that build them.

A streamed message sends the events; a message that is not streamed is built from the same events by
:func:`collect_blocks`. Does not know the message around the blocks.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any

from pydantic_core import from_json

from server.api.anthropic.task_budget import mark_call
from server.choice.delta import THOUGHT_BREAK, ChoiceDelta
from server.keys.sealed_thoughts import ThoughtSeal
from server.quotas.turns.request import TurnRequest
from server.tools.call import ToolCallDelta

Event = dict[str, Any]


class ThoughtDisplay(Enum):
    """Form in which a client gets a thought."""

    NONE = "none"  # no block: none was requested
    REDACTED = "redacted"  # a redacted_thinking block: the sealed thought only
    OMITTED = "omitted"  # a thinking block without text, with the sealed thought
    SHOWN = "shown"  # a thinking block with the text and the sealed thought


class ContentWriter:
    """Writes the events of a reply's content blocks.

    Invariant: at most one block is open, and indices increase by one. A thought's block comes
    before the answer that follows it: if a delta has both, the thought is written first.
    `has_estimates`: thinking deltas have `estimated_tokens`, null where none are due. `turn` is the
    request's: calls made in a task are marked with it.
    """

    def __init__(
        self,
        display: ThoughtDisplay,
        seal: ThoughtSeal,
        *,
        has_estimates: bool = False,
        turn: TurnRequest | None = None,
    ) -> None:
        self._display = display
        self._seal = seal
        self._has_estimates = has_estimates
        self._turn = turn
        self._num_used = 0  # hidden tokens of all thoughts so far
        self._num_reported = 0
        self._index = -1
        self._open: str | None = None  # the open block's type
        self._call_index: int | None = None
        self._thought = ""
        self._num_thoughts = 0

    def begin_thought(self) -> Iterator[Event]:
        """Open a block for a thought, of which no text need be known yet."""
        if self._display is ThoughtDisplay.NONE:
            return
        yield from self.close()
        self._thought = ""
        self._num_thoughts += 1
        if self._display is ThoughtDisplay.REDACTED:
            self._open = "redacted_thinking"  # sent as a whole when it is closed
        else:
            yield self._start({"type": "thinking", "thinking": "", "signature": ""})

    def push(self, delta: ChoiceDelta) -> Iterator[Event]:
        """Write the events of a delta."""
        if delta.reasoning and self._display is not ThoughtDisplay.NONE:
            yield from self._push_thought(delta.reasoning)
        if delta.progress is not None:
            self._num_used = delta.progress.used
            yield from self._report_length()
        if delta.content:
            if self._open != "text":
                yield from self.close()
                yield self._start({"type": "text", "text": ""})
            yield self._make_delta({"type": "text_delta", "text": delta.content})
        for call in delta.tool_calls:
            yield from self._push_call(call)

    def close(self) -> Iterator[Event]:
        """Close the open block, if there is one."""
        kind, self._open = self._open, None
        if kind == "redacted_thinking":
            yield self._start({"type": kind, "data": self._seal.seal(self._thought)})
            self._open = None
        elif kind == "thinking":
            signature = self._seal.seal(self._thought)
            yield self._make_delta({"type": "signature_delta", "signature": signature})
        if kind is not None:
            yield {"type": "content_block_stop", "index": self._index}

    def _push_thought(self, text: str) -> Iterator[Event]:
        if self._open not in ("thinking", "redacted_thinking"):
            if self._num_thoughts:
                text = text.removeprefix(THOUGHT_BREAK)  # here, blocks separate the thoughts
            yield from self.begin_thought()
        self._thought += text
        if self._display is ThoughtDisplay.SHOWN:
            yield self._make_thinking_delta(text, None)

    def _report_length(self) -> Iterator[Event]:
        """Report how many tokens were thought since the last report, if a block can have it."""
        grown = self._num_used - self._num_reported
        if grown and self._open == "thinking" and self._display is ThoughtDisplay.OMITTED:
            self._num_reported = self._num_used
            yield self._make_thinking_delta("", grown)

    def _push_call(self, call: ToolCallDelta) -> Iterator[Event]:
        if self._open != "tool_use" or self._call_index != call.index:
            yield from self.close()
            self._call_index = call.index
            block_id = mark_call(call.call_id or "", self._turn)
            yield self._start(
                {"type": "tool_use", "id": block_id, "name": call.name or "", "input": {}}
            )
        if call.arguments:
            yield self._make_delta({"type": "input_json_delta", "partial_json": call.arguments})

    def _start(self, block: dict[str, Any]) -> Event:
        self._index += 1
        self._open = block["type"]
        return {"type": "content_block_start", "index": self._index, "content_block": block}

    def _make_thinking_delta(self, text: str, num_tokens: int | None) -> Event:
        delta: dict[str, Any] = {"type": "thinking_delta", "thinking": text}
        if self._has_estimates:
            delta["estimated_tokens"] = num_tokens
        return self._make_delta(delta)

    def _make_delta(self, delta: dict[str, Any]) -> Event:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}


def collect_blocks(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Return the blocks that `events` build."""
    blocks: list[dict[str, Any]] = []
    json_texts: dict[int, str] = {}
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            match event["delta"]:
                case {"type": "input_json_delta", "partial_json": text}:
                    json_texts[event["index"]] = json_texts.get(event["index"], "") + text
                case {"type": "signature_delta", "signature": signature}:
                    blocks[-1]["signature"] = signature
                case {"thinking": text}:
                    blocks[-1]["thinking"] += text
                case {"text": text}:
                    blocks[-1]["text"] += text
    for index, text in json_texts.items():
        blocks[index]["input"] = _parse_arguments(text)
    return blocks


def _parse_arguments(text: str) -> dict[str, Any]:
    """Return a call's arguments; if `max_tokens` cut them, those that were generated."""
    try:
        value = from_json(text, allow_partial=True)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
