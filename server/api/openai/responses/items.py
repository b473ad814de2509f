"""Input items of a Responses body: messages, tool calls with their outputs, and thoughts.

The items of our own output are accepted unchanged, and those of other servers as far as they can be
used (``hosted_items``). Does not know the conversation that the items form, nor which items are
stored.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationInfo,
    field_validator,
)

from server.api.body import StrictModel
from server.api.openai.messages import to_json_text
from server.api.openai.responses.hosted_items import HostedItem, make_hosted_item
from server.api.openai.responses.parts import (
    Content,
    Status,
    ToolOutput,
    get_kind,
    parse_content,
    to_listed_content,
    validation_error,
)
from server.api.openai.responses.reasoning_items import ReasoningItem
from server.api.typing_errors import find_misspelt
from server.prompt.messages import MAX_MESSAGES


class MessageItem(StrictModel):
    """Message of a conversation."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Content
    id: str | None = None
    status: Status | None = None
    phase: str | None = None
    name: str | None = None  # of who speaks; not shown to the model

    @field_validator("content", mode="plain", json_schema_input_type=Content)
    @classmethod
    def _parse_content(cls, content: Any, info: ValidationInfo) -> Any:
        return parse_content(content, is_history=info.data.get("role") == "assistant")

    def to_listed(self) -> dict[str, Any]:
        """Return the item as OpenAI lists it."""
        listed = {
            "id": self.id,
            "type": "message",
            "role": self.role,
            "status": self.status or "completed",
            "content": to_listed_content(self.content, self.role),
        }
        return listed if self.phase is None else {**listed, "phase": self.phase}


class FunctionCallItem(StrictModel):
    """Function call by the model."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: Annotated[str, BeforeValidator(to_json_text)]
    id: str | None = None
    status: Status | None = None
    parsed_arguments: Any = None  # added by OpenAI's client
    caller: dict[str, Any] | None = None
    namespace: str | None = None
    async_: bool | None = Field(None, alias="async")

    def to_listed(self) -> dict[str, Any]:
        """Return the item as OpenAI lists it."""
        return _with_namespace(
            {
                "id": self.id,
                "type": "function_call",
                "status": self.status or "completed",
                "call_id": self.call_id,
                "name": self.name,
                "arguments": self.arguments,
            },
            self.namespace,
        )


class CustomCallItem(StrictModel):
    """Call of a custom tool by the model."""

    type: Literal["custom_tool_call"]
    call_id: str
    name: str
    input: str
    id: str | None = None
    status: Status | None = None
    caller: dict[str, Any] | None = None
    namespace: str | None = None
    async_: bool | None = Field(None, alias="async")

    def to_listed(self) -> dict[str, Any]:
        """Return the item as OpenAI lists it."""
        return _with_namespace(
            {
                "id": self.id,
                "type": "custom_tool_call",
                "status": self.status or "completed",
                "call_id": self.call_id,
                "name": self.name,
                "input": self.input,
            },
            self.namespace,
        )


class _CallOutputItem(StrictModel):
    """Output of one of the client's tools."""

    call_id: str
    output: ToolOutput
    id: str | None = None
    status: Status | None = None
    name: str | None = None
    caller: dict[str, Any] | None = None
    namespace: str | None = None

    def _list_as(self, kind: str) -> dict[str, Any]:
        output = self.output
        return {
            "id": self.id,
            "type": kind,
            "status": self.status or "completed",
            "call_id": self.call_id,
            "output": output if isinstance(output, str) else to_listed_content(output, "user"),
        }


class FunctionCallOutputItem(_CallOutputItem):
    """Output of the client's function."""

    type: Literal["function_call_output"]

    def to_listed(self) -> dict[str, Any]:
        """Return the item as OpenAI lists it."""
        return self._list_as(self.type)


class CustomCallOutputItem(_CallOutputItem):
    """Output of the client's custom tool."""

    type: Literal["custom_tool_call_output"]

    def to_listed(self) -> dict[str, Any]:
        """Return the item as OpenAI lists it."""
        return self._list_as(self.type)


class CompactionItem(StrictModel):
    """Sealed summary of the conversation before it (``compaction``)."""

    type: Literal["compaction", "compaction_summary"]
    encrypted_content: str
    id: str | None = None

    def to_listed(self) -> dict[str, Any]:
        """Return the item as OpenAI lists it."""
        return {"id": self.id, "type": "compaction", "encrypted_content": self.encrypted_content}


class ItemReference(StrictModel):
    """Reference to a stored item, by its id."""

    type: Literal["item_reference"] = "item_reference"
    id: str


Item = (
    MessageItem
    | FunctionCallItem
    | CustomCallItem
    | FunctionCallOutputItem
    | CustomCallOutputItem
    | ReasoningItem
    | CompactionItem
    | HostedItem
)
InputItem = Item | ItemReference
_MODELS: Mapping[str, type[InputItem]] = {
    "message": MessageItem,
    "function_call": FunctionCallItem,
    "function_call_output": FunctionCallOutputItem,
    "custom_tool_call": CustomCallItem,
    "custom_tool_call_output": CustomCallOutputItem,
    "reasoning": ReasoningItem,
    "compaction": CompactionItem,
    "compaction_summary": CompactionItem,
    "item_reference": ItemReference,
}
# Items that are no history but tell the server what to do, which this one cannot.
_COMMANDS = {
    "compaction_trigger": "is not supported: see /v1/responses/compact",
    "configuration_update": "is not supported: send these fields in the body",
}


def _parse_item(value: Any) -> InputItem:
    is_reference = isinstance(value, dict) and "role" not in value and "id" in value
    default = "item_reference" if is_reference else "message"
    kind = get_kind(value, _MODELS, default, accepts_others=True)
    if kind in _MODELS:
        # Some clients send `"type": null` instead of leaving it out.
        return _MODELS[kind].model_validate(_with_call_id({**value, "type": kind}))
    if kind in _COMMANDS:
        raise validation_error(f"{kind!r} {_COMMANDS[kind]}")
    if meant := find_misspelt(kind, _MODELS):
        raise validation_error(f"'type' should be {meant!r}")
    return make_hosted_item(kind, value)


def _with_call_id(item: dict[str, Any]) -> dict[str, Any]:
    """Return a call or its output with the id by which they find each other."""
    is_of_call = item["type"].endswith(("_call", "_call_output"))
    return {**item, "call_id": item.get("call_id") or item.get("id")} if is_of_call else item


def _parse_input(value: Any) -> Any:
    if isinstance(value, str):
        return [MessageItem(role="user", content=value)]
    if not isinstance(value, list):
        raise validation_error("should be a string or a list of items")
    if len(value) > MAX_MESSAGES:
        raise validation_error(f"should have at most {MAX_MESSAGES} items")
    return _ITEMS.validate_python(value)


_ITEMS = TypeAdapter(list[Annotated[InputItem, PlainValidator(_parse_item)]])
Input = Annotated[
    list[InputItem], PlainValidator(_parse_input, json_schema_input_type=str | list[InputItem])
]


def read_item(value: Mapping[str, Any]) -> Item:
    """Return one of our output items as an input item."""
    item = _parse_item(dict(value))
    assert not isinstance(item, ItemReference)
    return item


def _with_namespace(listed: dict[str, Any], namespace: str | None) -> dict[str, Any]:
    return listed if namespace is None else {**listed, "namespace": namespace}
