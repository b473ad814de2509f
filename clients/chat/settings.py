"""Settings of a conversation and the request fields that they become. Sends nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """Settings of a conversation; a field that is `None` is left to the server.

    `options` are fields of ``thinking_options``, `extra` any other fields of the body.
    """

    budget: int | None = None
    effort: str | None = None
    shows_thoughts: bool = False
    system: str | None = None
    temperature: float | None = None
    max_completion_tokens: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def with_budget(self, budget: int | None) -> "ChatSettings":
        """Return settings with another budget and no effort."""
        return replace(self, budget=budget, effort=None)

    def with_effort(self, effort: str | None) -> "ChatSettings":
        """Return settings with another effort and no budget."""
        return replace(self, budget=None, effort=effort)

    def describe_thinking(self) -> str:
        """Return how much is thought and whether it is shown, for people."""
        amount = "default budget"
        if self.budget is not None:
            amount = f"budget {self.budget}"
        elif self.effort is not None:
            amount = f"effort {self.effort}"
        return f"{amount} · thoughts {'on' if self.shows_thoughts else 'off'}"

    def to_fields(self) -> dict[str, Any]:
        """Return the fields of the request body other than model and messages."""
        fields: dict[str, Any] = {
            "max_thinking_tokens": self.budget,
            "reasoning_effort": self.effort,
            "include_reasoning": self.shows_thoughts or None,
            "temperature": self.temperature,
            "max_completion_tokens": self.max_completion_tokens,
            "thinking_options": dict(self.options) or None,
        }
        given = {name: value for name, value in fields.items() if value is not None}
        return {**given, **self.extra}
