"""Converts input items to the messages of a chat, for the model's template.

A thought is attached to the assistant's item that follows it, and calls to the assistant's message
that they belong to. Opens sealed thoughts and summaries. Leaves out, and remembers, what cannot be
used. Does not decide what a template does with a thought.
"""

import json
from collections.abc import Sequence
from typing import Any

from server.api.foreign_kinds import mark_item, put_below
from server.api.openai.responses.hosted_items import HostedItem, ToldCall, ToldOutput
from server.api.openai.responses.items import (
    CompactionItem,
    CustomCallItem,
    CustomCallOutputItem,
    FunctionCallItem,
    FunctionCallOutputItem,
    Item,
    MessageItem,
)
from server.api.openai.responses.parts import find_other_parts, to_chat_content
from server.api.openai.responses.reasoning_items import ReasoningItem, StoredReasoningItem
from server.api.openai.responses.summary import open_summary
from server.api.openai.responses.toolbox import Toolbox
from server.errors.api import BadRequestError
from server.keys.sealed_thoughts import SealError, ThoughtSeal
from server.tools.text_call import INPUT

_BETWEEN_THOUGHTS = "\n\n"


class ConversationBuilder:
    """Builds messages from items, added in order.

    `places` has the path in the body of each of `messages`, and `left_out` those of the items and
    fields that are not used.
    """

    def __init__(self, seal: ThoughtSeal, toolbox: Toolbox) -> None:
        self.messages: list[dict[str, Any]] = []
        self.places: list[str] = []
        self.left_out: list[str] = []
        self._seal = seal
        self._toolbox = toolbox
        self._thoughts: list[str] = []
        self._called_names: dict[str, str] = {}

    def add_instructions(self, instructions: str) -> None:
        """Add the system message of this request, which later requests do not inherit."""
        self._add({"role": "system", "content": instructions}, "instructions")

    def add(self, item: Item, place: str) -> None:
        """Add the next item.

        Raises:
            BadRequestError: an output has no call.
        """
        match item:
            case ReasoningItem():
                if thought := self._get_thought(item, place):
                    self._thoughts.append(thought)
            case FunctionCallItem():
                name = self._toolbox.get_shown_name(item.name, item.namespace)
                self._add_call((item.call_id,), name, item.arguments, place)
            case CustomCallItem():
                name = self._toolbox.get_shown_name(item.name, item.namespace)
                arguments = json.dumps({INPUT: item.input}, ensure_ascii=False)
                self._add_call((item.call_id,), name, arguments, place)
            case FunctionCallOutputItem() | CustomCallOutputItem():
                self._add_output(item, place)
            case MessageItem():
                self._add({"role": item.role, "content": to_chat_content(item.content)}, place)
                self.left_out += [put_below(place, path) for path in find_other_parts(item.content)]
            case CompactionItem():
                self._add_summary(item, place)
            case HostedItem():
                self._add_hosted(item, place)

    def _add(self, message: dict[str, Any], place: str) -> None:
        """Append a message; thoughts not followed by an assistant's item are dropped."""
        if self._thoughts and message["role"] == "assistant":
            message["reasoning_content"] = _BETWEEN_THOUGHTS.join(self._thoughts)
        self._thoughts.clear()
        self.messages.append(message)
        self.places.append(place)

    def _add_call(self, call_ids: tuple[str, ...], name: str, arguments: str, place: str) -> None:
        self._called_names |= dict.fromkeys(call_ids, name)
        goes_on = bool(self.messages) and self.messages[-1]["role"] == "assistant"
        if self._thoughts or not goes_on:
            self._add({"role": "assistant", "content": None}, place)
        function = {"name": name, "arguments": arguments}
        call = {"id": call_ids[0], "type": "function", "function": function}
        self.messages[-1].setdefault("tool_calls", []).append(call)

    def _add_output(self, item: FunctionCallOutputItem | CustomCallOutputItem, place: str) -> None:
        name = self._called_names.get(item.call_id)
        if name is None:
            raise BadRequestError(
                f"{place}.call_id: no earlier function_call has this call_id",
                param=f"{place}.call_id",
                code="invalid_value",
            )
        message = {"role": "tool", "tool_call_id": item.call_id, "name": name}
        self._add({**message, "content": to_chat_content(item.output)}, place)

    def _add_hosted(self, item: HostedItem, place: str) -> None:
        left_out = mark_item(place, item.type)
        match item.to_told():
            case ToldCall() as call:
                name = self._toolbox.get_shown_name(call.name, call.namespace)
                self._add_call(call.call_ids, name, call.arguments, place)
                if call.output is not None:
                    self._add_text_output(call.call_ids[0], name, call.output, place)
            case ToldOutput() as output:
                called = next((i for i in output.call_ids if i in self._called_names), None)
                if called is None:
                    self.left_out.append(left_out)
                else:
                    self._add_text_output(called, self._called_names[called], output.text, place)
            case None:
                self.left_out.append(left_out)

    def _add_text_output(self, call_id: str, name: str, text: str, place: str) -> None:
        self._add({"role": "tool", "tool_call_id": call_id, "name": name, "content": text}, place)

    def _add_summary(self, item: CompactionItem, place: str) -> None:
        try:
            summary = open_summary(self._seal, item.encrypted_content)
        except SealError:
            self.left_out.append(place)
            return
        self._add({"role": "assistant", "content": summary}, place)

    def _get_thought(self, item: ReasoningItem, place: str) -> str:
        """Return the sealed thought, else the text that the client sent; "" if there is none.

        A seal that is not ours was made by another server or for another key: the conversation goes
        on without that thought.
        """
        if isinstance(item, StoredReasoningItem):
            return item.thought
        if item.encrypted_content:
            try:
                return self._seal.open(item.encrypted_content)
            except SealError:
                self.left_out.append(f"{place}.encrypted_content")
        return "".join(part.text for part in item.content or ())


def build_conversation(
    seal: ThoughtSeal,
    toolbox: Toolbox,
    instructions: str | None,
    previous: Sequence[Item],
    given: Sequence[Item],
) -> ConversationBuilder:
    """Build the messages of one request.

    Raises:
        BadRequestError: see :meth:`ConversationBuilder.add`.
    """
    builder = ConversationBuilder(seal, toolbox)
    if instructions is not None:
        builder.add_instructions(instructions)
    for item in previous:
        builder.add(item, "previous_response_id")
    for place, item in enumerate(given):
        builder.add(item, f"input[{place}]")
    return builder
