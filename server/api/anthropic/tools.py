"""``tools`` and ``tool_choice`` of a Messages body. Calls no tools.

Knows three sorts of tools: those that the client describes itself, those that Anthropic describes
but the client runs (``client_tools``), and those that Anthropic's servers run, which no model is
told of here. Does not know which of them a conversation has loaded: ``tool_loading`` does.
"""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, model_validator

from server.api.anthropic.client_tools import describe_client_tool, is_client_tool
from server.api.anthropic.fields import CacheControl, validation_error
from server.api.body import StrictModel
from server.tools.tool import Tool, ToolMode

TOOL_NAME_PATTERN = r"^[a-zA-Z0-9_./:-]{1,128}$"
TOOL_MODES = {
    "auto": ToolMode.AUTO,
    "any": ToolMode.REQUIRED,
    "tool": ToolMode.NAMED,
    "none": ToolMode.NONE,
}


def _check_object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type", "object") != "object":
        raise validation_error("should be the JSON schema of an object")
    return {"type": "object", **schema}


class ClientTool(StrictModel):
    """Tool that the client runs. A deferred one is not shown to the model before it is loaded."""

    name: str = Field(pattern=TOOL_NAME_PATTERN)
    cache_control: CacheControl = None
    strict: bool | None = Field(
        None,
        description="Accepted; the schema is enforced if tool_choice requires a call.",
    )
    defer_loading: bool | None = Field(
        None,
        description="True: the model is told of it once a `tool_reference` names it.",
    )
    input_examples: list[dict[str, Any]] | None = Field(
        None, description="Shown to the model, after the description."
    )
    allowed_callers: list[str] | None = Field(
        None, description="A tool that the model may not call directly is left out."
    )

    @property
    def may_be_called(self) -> bool:
        """True unless only a program on Anthropic's servers may call the tool."""
        return not self.allowed_callers or "direct" in self.allowed_callers

    def to_tool(self) -> Tool:
        """Return the tool, independent of the wire format."""
        raise NotImplementedError

    def _with_examples(self, description: str | None) -> str | None:
        if not self.input_examples:
            return description
        lines = [json.dumps(example, ensure_ascii=False) for example in self.input_examples]
        return "\n".join(
            [*([description, ""] if description else []), "Examples of input:", *lines]
        )


class CustomTool(ClientTool):
    """Tool that the client describes itself."""

    input_schema: Annotated[dict[str, Any], AfterValidator(_check_object_schema)]
    description: str | None = None
    type: Literal["custom"] | None = None
    eager_input_streaming: bool | None = Field(None, description="Accepted: input is streamed.")

    def to_tool(self) -> Tool:
        """See :class:`ClientTool`."""
        return Tool(self.name, self._with_examples(self.description), self.input_schema)


class KnownTool(ClientTool):
    """Tool that Anthropic describes and the client runs, e.g. ``bash_20250124``."""

    type: str
    display_width_px: int | None = None
    display_height_px: int | None = None
    display_number: int | None = None
    enable_zoom: bool | None = None
    max_characters: int | None = None

    def to_tool(self) -> Tool:
        """See :class:`ClientTool`."""
        size = (self.display_width_px, self.display_height_px)
        description, schema = describe_client_tool(
            self.type, size=size, can_zoom=bool(self.enable_zoom)
        )
        return Tool(self.name, self._with_examples(description), schema)


class ServerTool(StrictModel):
    """Tool that Anthropic's servers run, or of an unknown type: the model is not told of it."""

    model_config = ConfigDict(extra="allow")

    type: str
    name: str | None = None
    cache_control: CacheControl = None

    @property
    def searches_tools(self) -> bool:
        """True if it would find the deferred tools."""
        return self.type.startswith("tool_search_tool")


AnyKindOfTool = CustomTool | KnownTool | ServerTool


def read_tool(value: Any) -> AnyKindOfTool:
    """Return an entry of ``tools``; errors name the field inside it.

    Raises:
        PydanticCustomError, ValidationError: the value is no tool, or an invalid one.
    """
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "function":
        raise validation_error(
            "tools have 'name', 'description' and 'input_schema' here, and no 'function'"
        )
    if not isinstance(kind, str) or kind == "custom":
        return CustomTool.model_validate(value)
    if "input_schema" in value:  # a newer name for the same thing
        return CustomTool.model_validate({**value, "type": "custom"})
    return (KnownTool if is_client_tool(kind) else ServerTool).model_validate(value)


AnyTool = Annotated[AnyKindOfTool, PlainValidator(read_tool, AnyKindOfTool)]


class ToolChoice(StrictModel):
    """``tool_choice``."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = Field(
        None, description='Required with `"type": "tool"`; not allowed otherwise.'
    )
    disable_parallel_tool_use: bool | None = None

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if (self.type == "tool") != (self.name is not None):
            raise validation_error('\'name\' is required with "type": "tool", and only there')
        return self
