"""``tools`` of a Responses body: functions, custom tools that take a text, namespaces of both.

A namespace is a named group of tools. OpenAI's own tools (web search, files, code …) and any type
that is not known are accepted and left out: the model is not told of them. Does not know under
which names the model sees the tools (``toolbox``), nor how it writes calls.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, PlainValidator, StringConstraints, TypeAdapter

from server.api.body import StrictModel
from server.api.foreign_kinds import mark_tool
from server.api.openai.responses.parts import get_kind, validation_error
from server.api.openai.tools import MAX_TOOLS, NAME_PATTERN, FunctionDefinition
from server.api.typing_errors import find_misspelt
from server.constraint.json_schema import MAX_SCHEMA_CHARACTERS

DIRECT = "direct"
_Callers = Annotated[
    list[str] | None,
    Field(description='Who may call the tool. One without "direct" is left out.'),
]
_Deferred = Annotated[
    bool | None, Field(description="Accepted; the model is told of the tool at once.")
]


class FunctionTool(FunctionDefinition):
    """Function that the model may call."""

    type: Literal["function"]
    defer_loading: _Deferred = None
    async_: bool | None = Field(None, alias="async")
    allowed_callers: _Callers = None
    output_schema: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the tool as a response echoes it."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
            "strict": bool(self.strict),
        }


class PlainFormat(StrictModel):
    """``format`` of a custom tool that takes any text."""

    type: Literal["text"]


class GrammarFormat(StrictModel):
    """``format`` of a custom tool whose text has a grammar."""

    type: Literal["grammar"]
    syntax: str
    definition: str = Field(
        min_length=1,
        max_length=MAX_SCHEMA_CHARACTERS,
        description="Shown to the model; enforced where tool_choice is this tool, and where the "
        "grammar can be.",
    )


class TextTool(StrictModel):
    """Tool that takes a text, without a JSON schema."""

    type: Literal["custom"]
    name: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
    description: str | None = None
    format: Annotated[PlainFormat | GrammarFormat, Field(discriminator="type")] | None = None
    defer_loading: _Deferred = None
    async_: bool | None = Field(None, alias="async")
    allowed_callers: _Callers = None

    def to_dict(self) -> dict[str, Any]:
        """Return the tool as a response echoes it."""
        sent = self.format or PlainFormat(type="text")
        return {
            "type": "custom",
            "name": self.name,
            "description": self.description,
            "format": sent.model_dump(),
        }


def _set_hosted_schema(schema: dict[str, Any]) -> None:
    properties = {"type": {"type": "string", "examples": ["web_search", "mcp"]}}
    schema |= {"properties": properties, "required": ["type"], "additionalProperties": True}


class HostedTool(StrictModel):
    """Tool that OpenAI runs. It is left out; its configuration is not read."""

    model_config = ConfigDict(json_schema_extra=_set_hosted_schema)

    type: str


OwnTool = FunctionTool | TextTool


class NamespaceTool(StrictModel):
    """Named group of tools."""

    type: Literal["namespace"]
    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    description: str | None = None
    tools: Annotated[
        list[OwnTool | HostedTool], PlainValidator(lambda value: _parse_list(value, _OWN))
    ]

    def to_dict(self) -> dict[str, Any]:
        """Return the namespace as a response echoes it."""
        tools = [tool.to_dict() for tool in self.tools if not isinstance(tool, HostedTool)]
        return {
            "type": "namespace",
            "name": self.name,
            "description": self.description,
            "tools": tools,
        }


AnyTool = OwnTool | NamespaceTool | HostedTool
_OWN: Mapping[str, type[AnyTool]] = {"function": FunctionTool, "custom": TextTool}
_KINDS: Mapping[str, type[AnyTool]] = {**_OWN, "namespace": NamespaceTool}


def _parse_tool(value: Any, kinds: Mapping[str, type[AnyTool]]) -> AnyTool:
    kind = get_kind(value, kinds, accepts_others=True)
    if kind == "function" and "name" not in value and isinstance(value.get("function"), dict):
        return FunctionTool.model_validate({**value["function"], "type": kind})  # as in a chat
    if kind in kinds:
        return kinds[kind].model_validate(value)
    if meant := find_misspelt(kind, list(_KINDS)):
        raise validation_error(f"'type' should be {meant!r}")
    return HostedTool(type=kind)


def _parse_list(value: Any, kinds: Mapping[str, type[AnyTool]]) -> Any:
    if not isinstance(value, list):
        raise validation_error("should be a list of tools")
    if len(value) > MAX_TOOLS:
        raise validation_error(f"should have at most {MAX_TOOLS} tools")
    parse = PlainValidator(lambda tool: _parse_tool(tool, kinds))
    return TypeAdapter(list[Annotated[Any, parse]]).validate_python(value)


def _parse_tools(value: Any) -> Any:
    if value is None:
        return None
    tools = _parse_list(value, _KINDS)
    names = [(space, tool.name) for _, space, tool in iterate_own_tools(tools)]
    if len(set(names)) < len(names):
        raise validation_error("each tool should have a different name")
    if len(names) > MAX_TOOLS:
        raise validation_error(
            f"should have at most {MAX_TOOLS} tools, those in namespaces counted"
        )
    return tools


Tools = Annotated[
    list[AnyTool] | None,
    PlainValidator(_parse_tools, json_schema_input_type=list[AnyTool] | None),
]


def iterate_own_tools(tools: Sequence[AnyTool]) -> Iterator[tuple[str, str | None, OwnTool]]:
    """Yield the tools that the model may call, each with its path and its namespace."""
    for path, namespace, tool in _iterate(tools):
        if not _is_left_out(tool):
            assert not isinstance(tool, HostedTool)
            yield path, namespace, tool


def find_unused_tools(tools: Sequence[AnyTool]) -> list[str]:
    """Return the paths of the tools that are left out."""
    return [
        mark_tool(path, tool.type) if isinstance(tool, HostedTool) else path
        for path, _, tool in _iterate(tools)
        if _is_left_out(tool)
    ]


def _iterate(tools: Sequence[AnyTool]) -> Iterator[tuple[str, str | None, OwnTool | HostedTool]]:
    for place, tool in enumerate(tools):
        if not isinstance(tool, NamespaceTool):
            yield f"tools[{place}]", None, tool
            continue
        for inner_place, inner in enumerate(tool.tools):
            yield f"tools[{place}].tools[{inner_place}]", tool.name, inner


def _is_left_out(tool: OwnTool | HostedTool) -> bool:
    return isinstance(tool, HostedTool) or DIRECT not in (tool.allowed_callers or [DIRECT])
