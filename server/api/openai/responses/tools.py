"""``tools`` and ``tool_choice`` of a Responses body: functions of the client.

OpenAI's own tools (web search, files, code …) are refused by name. Does not know how the model
writes calls.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, TypeAdapter

from server.api.body import StrictModel
from server.api.fields.only_values import OnlyValues, Unsupported, to_enum_schema
from server.api.openai.responses.parts import get_kind, validation_error
from server.api.openai.tools import MAX_TOOLS, NO_PARAMETERS, FunctionDefinition
from server.tools.tool import Tool, ToolMode, ToolUse


class FunctionTool(FunctionDefinition):
    """Function that the model may call."""

    type: Literal["function"]
    defer_loading: Annotated[bool | None, OnlyValues(False), to_enum_schema(False)] = None
    async_: Annotated[bool | None, OnlyValues(False), to_enum_schema(False)] = Field(
        None, alias="async"
    )
    allowed_callers: Annotated[Any, OnlyValues(["direct"]), to_enum_schema(["direct"])] = None
    output_schema: Unsupported = None

    def to_tool(self) -> Tool:
        """Return the tool, independent of the wire format."""
        parameters = NO_PARAMETERS if self.parameters is None else self.parameters
        return Tool(self.name, self.description, parameters)

    def to_dict(self) -> dict[str, Any]:
        """Return the tool as a response echoes it."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
            "strict": bool(self.strict),
        }


class FunctionChoice(StrictModel):
    """Function that must be called or, in allowed tools, that may be called."""

    type: Literal["function"]
    name: str


class AllowedFunctions(StrictModel):
    """Subset of the tools; the model may call any of them, or must call one."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[FunctionChoice] = Field(min_length=1)


_TOOLS = {"function": FunctionTool}
_CHOICES: Mapping[str, type[FunctionChoice | AllowedFunctions]] = {
    "function": FunctionChoice,
    "allowed_tools": AllowedFunctions,
}
_MODES = {mode.value: mode for mode in (ToolMode.NONE, ToolMode.AUTO, ToolMode.REQUIRED)}


def _parse_tool(value: Any) -> FunctionTool:
    return _TOOLS[get_kind(value, _TOOLS)].model_validate(value)


def _parse_tools(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, list):
        raise validation_error("should be a list of tools")
    if len(value) > MAX_TOOLS:
        raise validation_error(f"should have at most {MAX_TOOLS} tools")
    tools = _TOOL_LIST.validate_python(value)
    if len({tool.name for tool in tools}) < len(tools):
        raise validation_error("each tool should have a different name")
    return tools


def _parse_choice(value: Any) -> Any:
    if value is None or value in tuple(_MODES):
        return value
    if isinstance(value, str):
        raise validation_error(f"should be one of {', '.join(map(repr, _MODES))}, or an object")
    return _CHOICES[get_kind(value, _CHOICES)].model_validate(value)


_TOOL_LIST = TypeAdapter(list[Annotated[FunctionTool, PlainValidator(_parse_tool)]])
Tools = Annotated[
    list[FunctionTool] | None,
    PlainValidator(_parse_tools, json_schema_input_type=list[FunctionTool] | None),
]
_ChoiceType = Literal["none", "auto", "required"] | FunctionChoice | AllowedFunctions | None
ToolChoice = Annotated[
    _ChoiceType, PlainValidator(_parse_choice, json_schema_input_type=_ChoiceType)
]


def to_tool_use(
    tools: Sequence[FunctionTool] | None, choice: _ChoiceType, *, parallel: bool | None = None
) -> ToolUse | None:
    """Return how the model may use `tools`; None: there are no tools.

    Raises:
        PydanticCustomError: the choice names an unknown tool.
    """
    chosen = _get_chosen_names(choice)
    if chosen - {tool.name for tool in tools or ()}:
        raise validation_error("tool_choice: names a function that is not among tools")
    if not tools:
        if choice == "required":
            raise validation_error('tool_choice: "required" needs tools')
        return None
    known = [tool.to_tool() for tool in tools]
    is_parallel = parallel is not False
    if isinstance(choice, FunctionChoice):
        return ToolUse(known, ToolMode.NAMED, choice.name, parallel=is_parallel)
    if isinstance(choice, AllowedFunctions):
        allowed = [tool for tool in known if tool.name in chosen]
        return ToolUse(allowed, _MODES[choice.mode], parallel=is_parallel)
    return ToolUse(known, _MODES[choice or "auto"], parallel=is_parallel)


def _get_chosen_names(choice: _ChoiceType) -> set[str]:
    if isinstance(choice, FunctionChoice):
        return {choice.name}
    if isinstance(choice, AllowedFunctions):
        return {tool.name for tool in choice.tools}
    return set()


def echo_choice(choice: _ChoiceType) -> Any:
    """Return the choice as a response echoes it."""
    if choice is None or isinstance(choice, str):
        return choice or "auto"
    return choice.model_dump()
