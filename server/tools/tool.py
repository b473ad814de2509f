"""The tools of a request and how the model may use them. Knows neither wire format nor engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class ToolMode(Enum):
    """Mode of tool use in a reply."""

    NONE = "none"  # the model calls no tool
    AUTO = "auto"  # the model decides
    REQUIRED = "required"  # the model calls at least one
    NAMED = "named"  # the model calls the tool `ToolUse.name`


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of the client. `parameters` is the JSON schema of its arguments."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})

    def to_dict(self) -> dict[str, Any]:
        """Return the tool in OpenAI's format, which chat templates expect."""
        function: dict[str, Any] = {"name": self.name, "parameters": dict(self.parameters)}
        if self.description is not None:
            function["description"] = self.description
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The tools of a request. `name` is set with :attr:`ToolMode.NAMED` only.

    `field` is the request field of the tool choice, for error messages.
    """

    tools: Sequence[Tool]
    mode: ToolMode = ToolMode.AUTO
    name: str | None = None
    parallel: bool = True
    field: str = "tool_choice"
