"""``tool_choice`` of a Responses body: which of the tools the model may or must call.

Does not know how a choice is enforced.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PlainValidator, TypeAdapter

from server.api.body import StrictModel
from server.api.foreign_kinds import mark_tool
from server.api.openai.responses.parts import get_kind, validation_error
from server.api.openai.responses.toolbox import Toolbox
from server.api.openai.tools import translate_choice
from server.tools.tool import ToolMode, ToolUse


class FunctionChoice(StrictModel):
    """Function that must be called or, in allowed tools, that may be called."""

    type: Literal["function"]
    name: str
    namespace: str | None = None


class CustomChoice(StrictModel):
    """Custom tool that must be called or, in allowed tools, that may be called."""

    type: Literal["custom"]
    name: str
    namespace: str | None = None


class NamespaceChoice(StrictModel):
    """Namespace all of whose tools may be called, in allowed tools."""

    type: Literal["namespace"]
    name: str


def _set_hosted_schema(schema: dict[str, Any]) -> None:
    properties = {"type": {"type": "string", "examples": ["web_search", "mcp"]}}
    schema |= {"properties": properties, "required": ["type"], "additionalProperties": True}


class HostedChoice(StrictModel):
    """Tool that OpenAI runs, in allowed tools; it is left out."""

    model_config = ConfigDict(json_schema_extra=_set_hosted_schema)

    type: str


_OneChoice = FunctionChoice | CustomChoice
_AllowedChoice = FunctionChoice | CustomChoice | NamespaceChoice | HostedChoice
_ONE: Mapping[str, type[_OneChoice]] = {"function": FunctionChoice, "custom": CustomChoice}
_ALLOWED: Mapping[str, type[_AllowedChoice]] = {**_ONE, "namespace": NamespaceChoice}


def _parse_allowed(value: Any) -> Any:
    if not isinstance(value, list) or not value:
        raise validation_error("should be a list of at least one tool")
    return _ALLOWED_LIST.validate_python(value)


def _parse_allowed_choice(value: Any) -> _AllowedChoice:
    kind = get_kind(value, _ALLOWED, accepts_others=True)
    if kind in _ALLOWED:
        return _ALLOWED[kind].model_validate(value)
    return HostedChoice(type=kind)


_ALLOWED_LIST = TypeAdapter(list[Annotated[Any, PlainValidator(_parse_allowed_choice)]])


class AllowedFunctions(StrictModel):
    """Subset of the tools; the model may call any of them, or must call one. It sees all tools."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[
        list[_AllowedChoice],
        PlainValidator(_parse_allowed, json_schema_input_type=list[_AllowedChoice]),
        Field(min_length=1),
    ]


_CHOICES: Mapping[str, type[_OneChoice | AllowedFunctions]] = {
    **_ONE,
    "allowed_tools": AllowedFunctions,
}
_MODES = {mode.value: mode for mode in (ToolMode.NONE, ToolMode.AUTO, ToolMode.REQUIRED)}


def _parse_choice(value: Any) -> Any:
    value = translate_choice(value)
    match value:
        case {"type": "function", "function": {"name": name}, **rest} if not rest:
            value = {"type": "function", "name": name}  # as in a chat
    if value is None or value in tuple(_MODES):
        return value
    if isinstance(value, str):
        raise validation_error(f"should be one of {', '.join(map(repr, _MODES))}, or an object")
    kind = get_kind(value, _CHOICES, accepts_others=True)
    if kind not in _CHOICES:
        raise validation_error(
            f"'type' should be one of {', '.join(map(repr, _CHOICES))}: no other tool can be called"
        )
    return _CHOICES[kind].model_validate(value)


Choice = (
    Literal["none", "auto", "required"] | FunctionChoice | CustomChoice | AllowedFunctions | None
)
ToolChoice = Annotated[Choice, PlainValidator(_parse_choice, json_schema_input_type=Choice)]


def to_tool_use(
    toolbox: Toolbox, choice: Choice, *, parallel: bool | None = None
) -> ToolUse | None:
    """Return how the model may use the tools; None: there are no tools.

    Raises:
        PydanticCustomError: the choice names an unknown tool, or needs a tool and there is none.
    """
    allowed = _find_allowed(toolbox, choice)
    if not toolbox.tools:
        if choice == "required":
            raise validation_error(
                'tool_choice: "required" needs a function or custom tool among tools'
            )
        return None
    is_parallel = parallel is not False
    if isinstance(choice, FunctionChoice | CustomChoice):
        name = toolbox.get_shown_name(choice.name, choice.namespace)
        return ToolUse(toolbox.tools, ToolMode.NAMED, name, parallel=is_parallel)
    mode = _MODES[choice.mode if isinstance(choice, AllowedFunctions) else choice or "auto"]
    if allowed is not None and not allowed:
        return ToolUse(toolbox.tools, ToolMode.NONE, parallel=is_parallel)
    return ToolUse(toolbox.tools, mode, parallel=is_parallel, allowed=allowed)


def find_unused_choices(choice: Choice) -> list[str]:
    """Return the paths of the allowed tools that are left out."""
    if not isinstance(choice, AllowedFunctions):
        return []
    return [
        mark_tool(f"tool_choice.tools[{place}]", tool.type)
        for place, tool in enumerate(choice.tools)
        if isinstance(tool, HostedChoice)
    ]


def echo_choice(choice: Choice) -> Any:
    """Return the choice as a response echoes it."""
    if choice is None or isinstance(choice, str):
        return choice or "auto"
    if isinstance(choice, AllowedFunctions):
        tools = [tool.model_dump(exclude_none=True) for tool in choice.tools]
        return {"type": choice.type, "mode": choice.mode, "tools": tools}
    return choice.model_dump(exclude_none=True)


def _find_allowed(toolbox: Toolbox, choice: Choice) -> frozenset[str] | None:
    """Return the names, for the model, of the tools in the choice; None: it does not restrict."""
    if isinstance(choice, FunctionChoice | CustomChoice):
        return frozenset(_find_shown(toolbox, choice))
    if not isinstance(choice, AllowedFunctions):
        return None
    names = frozenset(name for tool in choice.tools for name in _find_shown(toolbox, tool))
    if not names and choice.mode == "required":
        raise validation_error("tool_choice: none of its tools can be called")
    return names


def _find_shown(toolbox: Toolbox, choice: _AllowedChoice) -> list[str]:
    if isinstance(choice, HostedChoice):
        return []
    if isinstance(choice, NamespaceChoice):
        names = toolbox.get_namespace_tools(choice.name)
    else:
        takes_text = isinstance(choice, CustomChoice)
        is_known = toolbox.has(choice.name, choice.namespace, takes_text=takes_text)
        names = [toolbox.get_shown_name(choice.name, choice.namespace)] if is_known else []
    if not names:
        raise validation_error("tool_choice: names a tool that is not among tools")
    return names
