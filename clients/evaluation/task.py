"""A question with its expected answers.

Knows what to ask and how to score a reply; not the thinking budget.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clients.evaluation.scoring import Score, ScoringRule

Message = Mapping[str, Any]  # as on the wire: role, content, …


@dataclass(frozen=True, slots=True)
class Task:
    """Question with its answers; `task_id` is unique in its file, `rule` is resolved."""

    task_id: str
    messages: tuple[Message, ...]
    answers: tuple[str, ...]
    rule: ScoringRule
    group: str | None = None

    def score(self, text: str) -> Score:
        """Score `text` as the answer."""
        return self.rule.score(text, self.answers)

    def to_messages(self, system: str | None) -> list[Message]:
        """Return the conversation, with `system` first if the task has no system message."""
        has_own = any(message.get("role") in {"system", "developer"} for message in self.messages)
        if system is None or has_own:
            return list(self.messages)
        return [{"role": "system", "content": system}, *self.messages]
