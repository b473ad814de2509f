"""``tools`` and ``tool_choice`` of a chat body.

Checks their form and size. Accepts functions and choices in the forms of other APIs too; tools that
are no functions are accepted and left out. Does not check whether a schema can be enforced: that is
checked where answers are constrained by it (``server.reply.tool_constraint``). A schema that the
model only reads may use any keyword.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from server.api.body import StrictModel
from server.api.foreign_kinds import mark_tool
from server.api.typing_errors import find_misspelt
from server.constraint.json_schema import serialize_schema
from server.tools.tool import Tool, ToolMode, ToolUse

MAX_TOOLS = 1_024
# Longer than OpenAI's, and with dots and slashes: names of MCP servers' tools.
NAME_PATTERN = r"^[a-zA-Z0-9_./:-]{1,128}$"
NO_PARAMETERS = {"type": "object", "properties": {}, "additionalProperties": False}


def _check_parameters(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type", "object") != "object":
        raise validation_error('should be a JSON schema with "type": "object"')
    serialize_schema(schema, enforced=False)
    return schema


Parameters = Annotated[dict[str, Any], AfterValidator(_check_parameters)]


class FunctionDefinition(StrictModel):
    """``tools[].function``."""

    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
    description: str | None = None
    parameters: Parameters | None = Field(
        None, description="JSON schema of the arguments, an object. Left out: no arguments."
    )
    strict: bool | None = Field(
        None,
        description="Accepted; the schema is enforced if tool_choice requires a call.",
    )

    def to_tool(self) -> Tool:
        """Return the tool, independent of the wire format."""
        parameters = NO_PARAMETERS if self.parameters is None else self.parameters
        return Tool(self.name, self.description, parameters)


class ToolDefinition(StrictModel):
    """``tools[]``."""

    type: Literal["function"] = "function"
    function: FunctionDefinition

    @property
    def definition(self) -> FunctionDefinition:
        """The function."""
        return self.function


class FlatTool(FunctionDefinition):
    """``tools[]`` with the function's fields one level higher, as in the Responses API."""

    type: Literal["function"] = "function"

    @property
    def definition(self) -> FunctionDefinition:
        """The function."""
        return self


def _set_other_schema(schema: dict[str, Any]) -> None:
    properties = {"type": {"type": "string", "examples": ["custom", "web_search"]}}
    schema |= {"properties": properties, "required": ["type"], "additionalProperties": True}


class OtherTool(StrictModel):
    """Tool that is no function. It is left out; its configuration is not read."""

    model_config = ConfigDict(json_schema_extra=_set_other_schema)

    type: str


AnyTool = ToolDefinition | FlatTool | OtherTool
FUNCTION, CUSTOM = "function", "custom"  # the kinds of OpenAI's API


def _parse_tool(value: Any) -> AnyTool:
    if not isinstance(value, dict):
        raise validation_error("should be an object")
    kind = value.get("type")
    has_function = value.get("function") is not None
    if kind is None and "input_schema" in value and "parameters" not in value:
        value = {**value, "parameters": value["input_schema"]}  # as in Anthropic's API
        del value["input_schema"]
    if kind == FUNCTION or (kind is None and (has_function or "name" in value)):
        is_flat = "name" in value and not has_function
        form: type[FlatTool | ToolDefinition] = FlatTool if is_flat else ToolDefinition
        return form.model_validate({**value, "type": FUNCTION})
    if kind is None and len(value) == 1:  # as Gemini has it: {"googleSearch": {}}
        (kind,) = value
    if not isinstance(kind, str):
        raise validation_error("should have a 'type': \"function\"")
    if meant := find_misspelt(kind, (FUNCTION, CUSTOM)) if kind != CUSTOM else None:
        raise validation_error(f"'type' should be {meant!r}")
    return OtherTool(type=kind)


def _check_names_differ(tools: list[AnyTool]) -> list[AnyTool]:
    names = [function.name for function in _list_functions(tools)]
    if len(set(names)) < len(names):
        raise validation_error("each tool should have a different name")
    return tools


def _list_functions(tools: Sequence[AnyTool]) -> list[FunctionDefinition]:
    return [tool.definition for tool in tools if not isinstance(tool, OtherTool)]


Tools = Annotated[
    list[Annotated[AnyTool, PlainValidator(_parse_tool, json_schema_input_type=AnyTool)]],
    Field(max_length=MAX_TOOLS),
    AfterValidator(_check_names_differ),
]


def find_unused_tools(tools: Sequence[AnyTool]) -> list[str]:
    """Return the paths of the tools that are left out."""
    return [
        mark_tool(f"tools[{place}]", tool.type)
        for place, tool in enumerate(tools)
        if isinstance(tool, OtherTool)
    ]


class FunctionName(StrictModel):
    """Name of a function."""

    name: str


class NamedChoice(StrictModel):
    """``{"type": "function", "function": {"name": …}}``: this function must be called."""

    type: Literal["function"]
    function: FunctionName


class AllowedTools(StrictModel):
    """Subset of the tools; the model may call any of them, or must call one."""

    mode: Literal["auto", "required"]
    tools: list[NamedChoice] = Field(min_length=1)


class AllowedToolsChoice(StrictModel):
    """``{"type": "allowed_tools", "allowed_tools": {…}}``."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


Mode = Literal["none", "auto", "required"]
Choice = Mode | NamedChoice | AllowedToolsChoice
_MODES = ("none", "auto", "required")


def translate_choice(value: Any) -> Any:
    """Return a choice in other words for a mode, such as Mistral's and Anthropic's, as that mode.

    Values that are no such choice are returned unchanged.
    """
    word = value["type"] if isinstance(value, dict) and set(value) == {"type"} else value
    if word == "any":
        return "required"
    return word if isinstance(word, str) and word in _MODES else value


def _check_choice_form(value: Any) -> Any:
    """Check the form of a choice, so that the error names all forms in one sentence."""
    value = translate_choice(value)
    match value:
        case {"type": "function" | "tool", "name": name, **rest} if not rest:
            return {"type": "function", "function": {"name": name}}
        case {"function": function, **rest} if not rest:
            return {"type": "function", "function": function}
        case {"type": "function" | "allowed_tools"} | "none" | "auto" | "required":
            return value
    raise validation_error(
        'should be "none", "auto", "required", {"type": "function", "function": {"name": "…"}} '
        'or {"type": "allowed_tools", "allowed_tools": {"mode": …, "tools": […]}}'
    )


ToolChoice = Annotated[
    Mode | Annotated[NamedChoice | AllowedToolsChoice, Field(discriminator="type")],
    BeforeValidator(_check_choice_form),
]


def check_choice(choice: Choice | None, tools: Sequence[AnyTool]) -> None:
    """Check that all tools in `choice` are among `tools`.

    Raises:
        PydanticCustomError: one is not; the error is for the field ``tool_choice``.
    """
    known = {function.name for function in _list_functions(tools)}
    if choice not in (None, "none", "auto") and not known:
        raise validation_error("needs tools")
    if unknown := [name for name in _get_chosen_names(choice) if name not in known]:
        place = "function.name" if isinstance(choice, NamedChoice) else "allowed_tools.tools"
        raise validation_error(f"{place} should be among tools ({len(unknown)} not found)")


def to_tool_use(
    tools: Sequence[AnyTool] | None, choice: Choice | None, *, parallel: bool | None
) -> ToolUse | None:
    """Return how the model may use `tools`; None: there are no functions."""
    offered = [function.to_tool() for function in _list_functions(tools or ())]
    if not offered:
        return None
    mode, name, allowed = ToolMode.AUTO, None, None
    if isinstance(choice, NamedChoice):
        mode, name = ToolMode.NAMED, choice.function.name
    elif isinstance(choice, AllowedToolsChoice):
        allowed = frozenset(_get_chosen_names(choice))
        mode = ToolMode(choice.allowed_tools.mode)
    elif choice is not None:
        mode = ToolMode(choice)
    return ToolUse(offered, mode, name, parallel=parallel is not False, allowed=allowed)


def _get_chosen_names(choice: Choice | None) -> list[str]:
    if isinstance(choice, NamedChoice):
        return [choice.function.name]
    if isinstance(choice, AllowedToolsChoice):
        return [tool.function.name for tool in choice.allowed_tools.tools]
    return []


def validation_error(text: str) -> PydanticCustomError:
    """Return the error for a value; `text` follows the field's name in the message."""
    return PydanticCustomError("tools", "{text}", {"text": text})
