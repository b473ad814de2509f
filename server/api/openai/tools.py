"""``tools`` and ``tool_choice`` of a chat body.

Checks their form and size. Does not check whether a schema can be enforced: that is checked where
answers are constrained by it (``server.reply.tool_constraint``). A schema that the model only reads
may use any keyword.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from server.api.body import StrictModel
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


class ToolDefinition(StrictModel):
    """``tools[]``."""

    type: Literal["function"]
    function: FunctionDefinition

    def to_tool(self) -> Tool:
        """Return the tool, independent of the wire format."""
        function = self.function
        parameters = NO_PARAMETERS if function.parameters is None else function.parameters
        return Tool(function.name, function.description, parameters)


def _check_names_differ(tools: list[ToolDefinition]) -> list[ToolDefinition]:
    if len({tool.function.name for tool in tools}) < len(tools):
        raise validation_error("each tool should have a different name")
    return tools


Tools = Annotated[
    list[ToolDefinition], Field(max_length=MAX_TOOLS), AfterValidator(_check_names_differ)
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


def _check_choice_form(value: Any) -> Any:
    """Check the form of a choice, so that the error names all forms in one sentence."""
    is_object = isinstance(value, dict) and value.get("type") in ("function", "allowed_tools")
    if is_object or (isinstance(value, str) and value in _MODES):
        return value
    raise validation_error(
        'should be "none", "auto", "required", {"type": "function", "function": {"name": "…"}} '
        'or {"type": "allowed_tools", "allowed_tools": {"mode": …, "tools": […]}}'
    )


ToolChoice = Annotated[
    Mode | Annotated[NamedChoice | AllowedToolsChoice, Field(discriminator="type")],
    BeforeValidator(_check_choice_form),
]


def check_choice(choice: Choice | None, tools: Sequence[ToolDefinition]) -> None:
    """Check that all tools in `choice` are among `tools`.

    Raises:
        PydanticCustomError: one is not; the error is for the field ``tool_choice``.
    """
    known = {tool.function.name for tool in tools}
    if choice not in (None, "none", "auto") and not known:
        raise validation_error("needs tools")
    if unknown := [name for name in _get_chosen_names(choice) if name not in known]:
        place = "function.name" if isinstance(choice, NamedChoice) else "allowed_tools.tools"
        raise validation_error(f"{place} should be among tools ({len(unknown)} not found)")


def to_tool_use(
    tools: Sequence[ToolDefinition] | None, choice: Choice | None, *, parallel: bool | None
) -> ToolUse | None:
    """Return how the model may use `tools`; None: there are no tools."""
    if not tools:
        return None
    offered = [tool.to_tool() for tool in tools]
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
