"""``tools`` and ``tool_choice`` of a Messages body. Calls no tools."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from server.api.anthropic.blocks import CacheControl, validation_error
from server.api.body import StrictModel
from server.api.fields.only_values import OnlyValues, to_enum_schema
from server.errors.api import BadRequestError
from server.tools.tool import Tool, ToolMode, ToolUse

# Tools that Anthropic runs itself, or that its models are trained on: "web_search_20250305", …
_FAMILIES = (
    "advisor",
    "bash",
    "browser",
    "code_execution",
    "computer",
    "mcp_toolset",
    "memory",
    "text_editor",
    "tool_search",
    "web_fetch",
    "web_search",
)
_MODES = {
    "auto": ToolMode.AUTO,
    "any": ToolMode.REQUIRED,
    "tool": ToolMode.NAMED,
    "none": ToolMode.NONE,
}


def _check_custom(tool: Any) -> Any:
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind in (None, "custom"):
        return tool
    known = (family for family in _FAMILIES if str(kind).startswith(family))
    name = next(known, None)
    what = f"Anthropic's tool {name!r} is" if name else "tools of other types are"
    raise validation_error(f"{what} not supported: only tools of your own, with 'input_schema'")


def _check_object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type", "object") != "object":
        raise validation_error("should be the JSON schema of an object")
    return {"type": "object", **schema}


class CustomTool(StrictModel):
    """Tool of the client."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")
    input_schema: Annotated[dict[str, Any], AfterValidator(_check_object_schema)]
    description: str | None = None
    type: Literal["custom"] | None = None
    cache_control: CacheControl = None
    eager_input_streaming: bool | None = Field(None, description="Accepted: input is streamed.")
    strict: bool | None = Field(
        None,
        description="Accepted; the schema is enforced if tool_choice requires a call.",
    )
    defer_loading: Annotated[bool | None, OnlyValues(False), to_enum_schema(False)] = None
    input_examples: Annotated[Any, OnlyValues([]), to_enum_schema([])] = None
    allowed_callers: Annotated[Any, OnlyValues(["direct"]), to_enum_schema(["direct"])] = None

    def to_tool(self) -> Tool:
        """Return the tool, independent of the wire format."""
        return Tool(self.name, self.description, self.input_schema)


AnyTool = Annotated[CustomTool, BeforeValidator(_check_custom)]


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


def to_tool_use(tools: list[CustomTool] | None, choice: ToolChoice | None) -> ToolUse | None:
    """Return how the model may use `tools`; None: there are no tools.

    Raises:
        BadRequestError: two tools have the same name, or the choice names an unknown tool.
    """
    _check_tools(tools or (), choice)
    if not tools:
        return None
    made = [tool.to_tool() for tool in tools]
    if choice is None:
        return ToolUse(made)
    parallel = not choice.disable_parallel_tool_use
    return ToolUse(made, _MODES[choice.type], choice.name, parallel)


def _check_tools(tools: Sequence[CustomTool], choice: ToolChoice | None) -> None:
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        raise _invalid_value_error("tools", "each tool should have a different name")
    if choice is None:
        return
    if choice.type in ("any", "tool") and not names:
        raise _invalid_value_error("tool_choice", "there are no tools to choose from")
    if choice.name is not None and choice.name not in names:
        raise _invalid_value_error("tool_choice.name", "should be the name of one of the tools")


def _invalid_value_error(param: str, problem: str) -> BadRequestError:
    return BadRequestError(f"{param}: {problem}", param=param, code="invalid_value")
