"""Output items in progress: a thought, a message or a call, each with its events.

An item's events are in OpenAI's order: added, then those of its text, then done. Does not number
the events, and does not know which item comes next.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from server.api.openai.logprobs import LogprobsWriter
from server.api.openai.responses.custom_input import InputReader
from server.api.openai.responses.parts import Status
from server.api.openai.responses.toolbox import ToolName
from server.engine.protocol import TokenLogprobs
from server.keys.sealed_thoughts import ThoughtSeal

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ThoughtView:
    """Form in which the client gets a thought.

    `summarises`: the client requested a summary, and gets the thought itself in its place. `seal`
    is None if the client gets no sealed copy.
    """

    shows: bool = False
    summarises: bool = False
    seal: ThoughtSeal | None = None


class OutputItem(ABC):
    """Output item: begun, written to and ended, in this order."""

    def __init__(self, item_id: str, output_index: int) -> None:
        self.item_id = item_id
        self.output_index = output_index

    @abstractmethod
    def to_dict(self, status: Status) -> dict[str, Any]:
        """Return the item with its content so far."""

    def begin(self) -> Iterator[Event]:
        """Write the item's first events."""
        item = self.to_dict("in_progress")
        yield {
            "type": "response.output_item.added",
            "output_index": self.output_index,
            "item": item,
        }

    def end(self, status: Status) -> Iterator[Event]:
        """Write the item's last events."""
        item = self.to_dict(status)
        yield {"type": "response.output_item.done", "output_index": self.output_index, "item": item}

    def _make_event(self, kind: str, **fields: Any) -> Event:
        place = {"item_id": self.item_id, "output_index": self.output_index}
        return {"type": f"response.{kind}", **place, **fields}


class ReasoningOutput(OutputItem):
    """Thought. If it may not be shown, the client sees only when it begins and ends."""

    def __init__(self, item_id: str, output_index: int, view: ThoughtView) -> None:
        super().__init__(item_id, output_index)
        self.thought = ""
        self._view = view
        self._sealed: str | None = None

    def to_dict(self, status: Status) -> dict[str, Any]:
        """Return the item; it has the thought if that is shown, and once it is complete."""
        view, is_whole = self._view, status != "in_progress"
        item: dict[str, Any] = {
            "id": self.item_id,
            "type": "reasoning",
            "status": status,
            "summary": [],
        }
        if is_whole and view.shows:
            item["content"] = [{"type": "reasoning_text", "text": self.thought}]
            if view.summarises:
                item["summary"] = [{"type": "summary_text", "text": self.thought}]
        if is_whole and view.seal is not None:
            # Seal only once: each sealing gives a different text.
            self._sealed = self._sealed or view.seal.seal(self.thought)
            item["encrypted_content"] = self._sealed
        return item

    def begin(self) -> Iterator[Event]:
        yield from super().begin()
        if self._view.shows:
            yield self._make_part_event("added")

    def push(self, text: str) -> Iterator[Event]:
        """Append text to the thought."""
        self.thought += text
        if self._view.shows:
            yield self._make_text_event("delta", delta=text)

    def end(self, status: Status) -> Iterator[Event]:
        if self._view.shows:
            yield self._make_text_event("done", text=self.thought)
            yield self._make_part_event("done")
        yield from super().end(status)

    def _make_part_event(self, kind: str) -> Event:
        text = self.thought
        if self._view.summarises:
            part = {"type": "summary_text", "text": text}
            return self._make_event(f"reasoning_summary_part.{kind}", summary_index=0, part=part)
        part = {"type": "reasoning_text", "text": text}
        return self._make_event(f"content_part.{kind}", content_index=0, part=part)

    def _make_text_event(self, kind: str, **fields: Any) -> Event:
        """Return an event of the summary or of the content, so that no client reads both."""
        if self._view.summarises:
            return self._make_event(f"reasoning_summary_text.{kind}", summary_index=0, **fields)
        return self._make_event(f"reasoning_text.{kind}", content_index=0, **fields)


class MessageOutput(OutputItem):
    """Answer."""

    def __init__(self, item_id: str, output_index: int, logprobs: LogprobsWriter | None) -> None:
        super().__init__(item_id, output_index)
        self._text = ""
        self._logprobs: list[dict[str, Any]] = []
        self._writer = logprobs

    def to_dict(self, status: Status) -> dict[str, Any]:
        """Return the item; it has no content while it is in progress."""
        return {
            "id": self.item_id,
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": [] if status == "in_progress" else [self._to_part()],
        }

    def begin(self) -> Iterator[Event]:
        yield from super().begin()
        yield self._make_event("content_part.added", content_index=0, part=self._to_part())

    def push(self, text: str, entries: Sequence[TokenLogprobs]) -> Iterator[Event]:
        """Append text to the answer."""
        logprobs = [] if self._writer is None else _to_logprobs(self._writer, entries)
        self._text += text
        self._logprobs += logprobs
        yield self._make_event("output_text.delta", content_index=0, delta=text, logprobs=logprobs)

    def end(self, status: Status) -> Iterator[Event]:
        part = self._to_part()
        yield self._make_event(
            "output_text.done", content_index=0, text=self._text, logprobs=part["logprobs"]
        )
        yield self._make_event("content_part.done", content_index=0, part=part)
        yield from super().end(status)

    def _to_part(self) -> dict[str, Any]:
        return {
            "type": "output_text",
            "text": self._text,
            "annotations": [],
            "logprobs": list(self._logprobs),
        }


class CallOutput(OutputItem):
    """Call of one of the client's functions."""

    def __init__(self, item_id: str, output_index: int, call_id: str, name: ToolName) -> None:
        super().__init__(item_id, output_index)
        self._call_id = call_id
        self._name = name
        self._arguments = ""

    def to_dict(self, status: Status) -> dict[str, Any]:
        """Return the item."""
        item = {
            "id": self.item_id,
            "type": "function_call",
            "status": status,
            "call_id": self._call_id,
            "name": self._name.name,
            "arguments": self._arguments,
        }
        return _with_namespace(item, self._name)

    def push(self, arguments: str) -> Iterator[Event]:
        """Append text to the arguments."""
        self._arguments += arguments
        if arguments:
            yield self._make_event("function_call_arguments.delta", delta=arguments)

    def end(self, status: Status) -> Iterator[Event]:
        yield self._make_event(
            "function_call_arguments.done", name=self._name.name, arguments=self._arguments
        )
        yield from super().end(status)


class CustomCallOutput(OutputItem):
    """Call of one of the client's custom tools, which takes a text.

    The model writes arguments as for a function; the client gets the text that is in them.
    """

    def __init__(self, item_id: str, output_index: int, call_id: str, name: ToolName) -> None:
        super().__init__(item_id, output_index)
        self._call_id = call_id
        self._name = name
        self._input = ""
        self._reader = InputReader()

    def to_dict(self, status: Status) -> dict[str, Any]:
        """Return the item."""
        item = {
            "id": self.item_id,
            "type": "custom_tool_call",
            "status": status,
            "call_id": self._call_id,
            "name": self._name.name,
            "input": self._input,
        }
        return _with_namespace(item, self._name)

    def push(self, arguments: str) -> Iterator[Event]:
        """Append text to the arguments."""
        yield from self._push_input(self._reader.push(arguments))

    def end(self, status: Status) -> Iterator[Event]:
        yield from self._push_input(self._reader.finish())
        yield self._make_event("custom_tool_call_input.done", input=self._input)
        yield from super().end(status)

    def _push_input(self, text: str) -> Iterator[Event]:
        self._input += text
        if text:
            yield self._make_event("custom_tool_call_input.delta", delta=text)


def _with_namespace(item: dict[str, Any], name: ToolName) -> dict[str, Any]:
    return item if name.namespace is None else {**item, "namespace": name.namespace}


def _to_logprobs(writer: LogprobsWriter, entries: Sequence[TokenLogprobs]) -> list[dict[str, Any]]:
    """Return log-probabilities as in a chat, but with [] for null `bytes`.

    OpenAI's types do not allow null here.
    """
    content: list[dict[str, Any]] = writer.to_dict(entries)["content"]
    for entry in content:
        for token in (entry, *entry["top_logprobs"]):
            token["bytes"] = token["bytes"] or []
    return content
