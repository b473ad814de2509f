"""One question with its answer.

Knows what to ask and how to score a reply; not how much may be thought about it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clients.evaluation.scoring import Score, ScoringRule

Message = Mapping[str, Any]  # as on the wire: role, content, …


@dataclass(frozen=True, slots=True)
class Task:
    """`task_id` is unique in its file; `rule` is resolved; `group` None: in no group."""

    task_id: str
    messages: tuple[Message, ...]
    answers: tuple[str, ...]
    rule: ScoringRule
    group: str | None = None

    def score(self, text: str) -> Score:
        """How right `text` is as the answer."""
        return self.rule.score(text, self.answers)

    def messages_with(self, system: str | None) -> list[Message]:
        """The conversation; `system` comes first where the task has no system message."""
        has_own = any(message.get("role") in {"system", "developer"} for message in self.messages)
        if system is None or has_own:
            return list(self.messages)
        return [{"role": "system", "content": system}, *self.messages]
