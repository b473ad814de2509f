"""Converts input items to the messages of a chat, for the model's template.

A thought is attached to the assistant's item that follows it, and calls to the assistant's message
that they belong to. Opens sealed thoughts. Does not decide what a template does with a thought.
"""

from collections.abc import Sequence
from typing import Any

from server.api.openai.responses.items import (
    FunctionCallItem,
    FunctionCallOutputItem,
    Item,
    MessageItem,
    ReasoningItem,
    StoredReasoningItem,
)
from server.api.openai.responses.parts import to_chat_content
from server.errors.api import BadRequestError
from server.keys.sealed_thoughts import SealError, ThoughtSeal

_BETWEEN_THOUGHTS = "\n\n"


class ConversationBuilder:
    """Builds messages from items, added in order.

    `places` has the path in the body of each of `messages`.
    """

    def __init__(self, seal: ThoughtSeal) -> None:
        self.messages: list[dict[str, Any]] = []
        self.places: list[str] = []
        self._seal = seal
        self._thoughts: list[str] = []
        self._function_names: dict[str, str] = {}

    def add_instructions(self, instructions: str) -> None:
        """Add the system message of this request, which later requests do not inherit."""
        self._add({"role": "system", "content": instructions}, "instructions")

    def add(self, item: Item, place: str) -> None:
        """Add the next item.

        Raises:
            BadRequestError: a sealed thought is not ours, or an output has no call.
        """
        match item:
            case ReasoningItem():
                if thought := self._get_thought(item, place):
                    self._thoughts.append(thought)
            case FunctionCallItem():
                self._add_call(item, place)
            case FunctionCallOutputItem():
                self._add_output(item, place)
            case MessageItem():
                self._add({"role": item.role, "content": to_chat_content(item.content)}, place)

    def _add(self, message: dict[str, Any], place: str) -> None:
        """Append a message; thoughts not followed by an assistant's item are dropped."""
        if self._thoughts and message["role"] == "assistant":
            message["reasoning_content"] = _BETWEEN_THOUGHTS.join(self._thoughts)
        self._thoughts.clear()
        self.messages.append(message)
        self.places.append(place)

    def _add_call(self, item: FunctionCallItem, place: str) -> None:
        self._function_names[item.call_id] = item.name
        goes_on = bool(self.messages) and self.messages[-1]["role"] == "assistant"
        if self._thoughts or not goes_on:
            self._add({"role": "assistant", "content": None}, place)
        function = {"name": item.name, "arguments": item.arguments}
        call = {"id": item.call_id, "type": "function", "function": function}
        self.messages[-1].setdefault("tool_calls", []).append(call)

    def _add_output(self, item: FunctionCallOutputItem, place: str) -> None:
        name = self._function_names.get(item.call_id)
        if name is None:
            raise BadRequestError(
                f"{place}.call_id: no earlier function_call has this call_id",
                param=f"{place}.call_id",
                code="invalid_value",
            )
        message = {"role": "tool", "tool_call_id": item.call_id, "name": name}
        self._add({**message, "content": to_chat_content(item.output)}, place)

    def _get_thought(self, item: ReasoningItem, place: str) -> str:
        """Return the sealed thought, else the text that the client sent; "" if there is none."""
        if isinstance(item, StoredReasoningItem):
            return item.thought
        if item.encrypted_content is None:
            return "".join(part.text for part in item.content or ())
        try:
            return self._seal.open(item.encrypted_content)
        except SealError as error:
            field = f"{place}.encrypted_content"
            raise BadRequestError(
                f"{field}: {error}", param=field, code="invalid_encrypted_content"
            ) from None


def build_conversation(
    seal: ThoughtSeal, instructions: str | None, previous: Sequence[Item], given: Sequence[Item]
) -> ConversationBuilder:
    """Build the messages of one request.

    Raises:
        BadRequestError: see :meth:`ConversationBuilder.add`.
    """
    builder = ConversationBuilder(seal)
    if instructions is not None:
        builder.add_instructions(instructions)
    for item in previous:
        builder.add(item, "previous_response_id")
    for place, item in enumerate(given):
        builder.add(item, f"input[{place}]")
    return builder
