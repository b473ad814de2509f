"""The tools of a request and how the model may use them. Knows neither wire format nor engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal


class ToolMode(Enum):
    """Mode of tool use in a reply."""

    NONE = "none"  # the model calls no tool
    AUTO = "auto"  # the model decides
    REQUIRED = "required"  # the model calls at least one
    NAMED = "named"  # the model calls the tool `ToolUse.name`


@dataclass(frozen=True, slots=True)
class InputFormat:
    """Format of the text that a tool takes: a regular expression, or an EBNF grammar."""

    syntax: Literal["regex", "ebnf"]
    definition: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of the client. `parameters` is the JSON schema of its arguments.

    `input_format` is that of the single argument `input` of a tool that takes a text.
    """

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    input_format: InputFormat | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the tool in OpenAI's format, which chat templates expect."""
        function: dict[str, Any] = {"name": self.name, "parameters": dict(self.parameters)}
        if self.description is not None:
            function["description"] = self.description
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The tools of a request. `name` is set with :attr:`ToolMode.NAMED` only.

    The model is shown all `tools`; `allowed` has the names of those that it may call, None: all.
    `field` is the request field of the tool choice, for error messages.
    """

    tools: Sequence[Tool]
    mode: ToolMode = ToolMode.AUTO
    name: str | None = None
    parallel: bool = True
    field: str = "tool_choice"
    allowed: frozenset[str] | None = None

    @property
    def allowed_tools(self) -> list[Tool]:
        """The tools that the model may call."""
        return [tool for tool in self.tools if self.allowed is None or tool.name in self.allowed]
