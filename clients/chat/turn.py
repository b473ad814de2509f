"""A question and its reply, filled from the chunks of a stream. Knows no connection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Piece:
    """Piece of a reply's text."""

    text: str
    is_thought: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a hidden thought: tokens used so far, of the budget, and for how long."""

    used: int
    budget: int
    seconds: float


@dataclass(slots=True)
class ChatTurn:
    """Question and its reply with receipt and token counts, filled while the reply is read.

    `is_thinking`: no answer has come, or a thought inside the answer has begun since.
    `was_stopped`: its reader has hung up.
    """

    question: str
    model: str = ""
    reply_id: str | None = None
    answer: str = ""
    thought: str = ""
    finish_reason: str | None = None
    receipt: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    is_thinking: bool = True
    was_stopped: bool = False

    def read(self, chunk: Any) -> Sequence[Piece | Progress]:
        """Take a chunk of the stream and return what it tells."""
        self.reply_id = chunk.id or self.reply_id
        self.model = chunk.model or self.model
        if chunk.usage is not None:
            self.usage = chunk.usage.model_dump(exclude_none=True)
        return [event for choice in chunk.choices for event in self._read_choice(choice)]

    @property
    def completion_tokens(self) -> int | None:
        """All generated tokens, or None where the server has not said."""
        return self.usage.get("completion_tokens")

    @property
    def reasoning_tokens(self) -> int | None:
        """Tokens of thought, or None where the server has not said."""
        details: Mapping[str, int] = self.usage.get("completion_tokens_details") or {}
        return details.get("reasoning_tokens")

    def _read_choice(self, choice: Any) -> Sequence[Piece | Progress]:
        events: list[Piece | Progress] = []
        fields: Mapping[str, Any] = choice.delta.model_extra or {}
        if thought := fields.get("reasoning") or fields.get("reasoning_content"):
            self.thought += thought
            self.is_thinking = True
            events.append(Piece(thought, is_thought=True))
        if choice.delta.content:
            self.answer += choice.delta.content
            self.is_thinking = False
            events.append(Piece(choice.delta.content, is_thought=False))
        told: Mapping[str, Any] = (choice.model_extra or {}).get("thinking") or {}
        self.finish_reason = choice.finish_reason or self.finish_reason
        if told and choice.finish_reason is not None:
            self.receipt = told
        elif told:
            self.is_thinking = True
            events.append(Progress(told["used"], told["budget"], told["seconds"]))
        return events
