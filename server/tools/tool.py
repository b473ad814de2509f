"""The tools of a request and how the model may use them; no wire and no engine known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class ToolMode(Enum):
    """Whether a reply calls tools."""

    NONE = "none"  # it never does
    AUTO = "auto"  # the model decides
    REQUIRED = "required"  # it calls at least one
    NAMED = "named"  # it calls the one of `ToolUse.name`


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of the client's. `parameters` is the JSON schema of its arguments."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})

    def to_dict(self) -> dict[str, Any]:
        """OpenAI's form, which chat templates expect."""
        function: dict[str, Any] = {"name": self.name, "parameters": dict(self.parameters)}
        if self.description is not None:
            function["description"] = self.description
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The tools of one request. `name` is set with :attr:`ToolMode.NAMED` only.

    `field` is the place of the choice in the body, for messages.
    """

    tools: Sequence[Tool]
    mode: ToolMode = ToolMode.AUTO
    name: str | None = None
    parallel: bool = True
    field: str = "tool_choice"
