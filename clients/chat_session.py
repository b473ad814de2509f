"""A conversation over HTTP: the requests, the streamed replies and their token counts.

Prints nothing. Thoughts are never sent back: only answers are part of the conversation.
"""

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import openai


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """Settings of a conversation; a field that is `None` is left to the server."""

    budget: int | None = None
    effort: str | None = None
    shows_thoughts: bool = False
    system: str | None = None
    temperature: float | None = None
    max_completion_tokens: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def with_budget(self, budget: int | None) -> "ChatSettings":
        """Return settings with another budget and no effort."""
        return replace(self, budget=budget, effort=None)

    def with_thoughts_toggled(self) -> "ChatSettings":
        """Return settings with thoughts shown if hidden, and hidden if shown."""
        return replace(self, shows_thoughts=not self.shows_thoughts)

    def to_fields(self) -> dict[str, Any]:
        """Return the fields of the request body other than model and messages."""
        fields = {
            "max_thinking_tokens": self.budget,
            "reasoning_effort": self.effort,
            "include_reasoning": self.shows_thoughts or None,
            "temperature": self.temperature,
            "max_completion_tokens": self.max_completion_tokens,
            "thinking_options": dict(self.options) or None,
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Piece:
    """Piece of a reply's text."""

    text: str
    is_thought: bool


@dataclass(slots=True)
class ChatTurn:
    """Reply with its receipt and token counts, filled while the reply is read."""

    answer: str = ""
    finish_reason: str | None = None
    receipt: Mapping[str, Any] = field(default_factory=dict)
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    seconds: float = 0.0

    def format_receipt(self) -> str:
        """Return a line on thought, answer and time, then a line for each piece of advice."""
        parts = [self._format_thought()]
        if self.completion_tokens is not None:
            answer = self.completion_tokens - (self.reasoning_tokens or 0)
            parts.append(f"answer {answer} tokens")
        if self.finish_reason == "length":
            parts.append("cut off by the token limit")
        parts.append(f"{self.seconds:.1f} s")
        advice = self.receipt.get("advice") or []
        return "\n".join([f"[{', '.join(parts)}]", *(f"advice: {line}" for line in advice)])

    def _format_thought(self) -> str:
        if not self.receipt:
            count = "?" if self.reasoning_tokens is None else self.reasoning_tokens
            return f"thought {count} tokens"
        limit = self.receipt.get("limited_by")
        shrunk = f", limited by {limit}" if limit else ""
        return (
            f"thought {self.receipt.get('used')} of {self.receipt.get('budget')} tokens"
            f" ({self.receipt.get('stop')}{shrunk})"
        )


class ChatSession:
    """Conversation so far; a turn that fails or is interrupted leaves it unchanged."""

    def __init__(self, model: str, settings: ChatSettings) -> None:
        self.model = model
        self.settings = settings
        self._messages: list[dict[str, str]] = []

    def clear(self) -> None:
        """Clear the conversation; the system message stays."""
        self._messages.clear()

    async def ask(
        self, client: "openai.AsyncOpenAI", question: str, turn: ChatTurn
    ) -> AsyncIterator[Piece]:
        """Yield the reply incrementally; `turn` is complete when the iterator ends."""
        user_message = {"role": "user", "content": question}
        messages: Any = self._with_system(user_message)
        begin = time.perf_counter()
        stream: Any = await client.chat.completions.create(
            model=self.model,
            messages=messages,
            stream=True,
            stream_options={"include_usage": True},
            extra_body=self.settings.to_fields(),
        )
        async for chunk in stream:
            for piece in _read(chunk, turn):
                yield piece
        turn.seconds = time.perf_counter() - begin
        self._messages += [user_message, {"role": "assistant", "content": turn.answer}]

    def _with_system(self, user_message: dict[str, str]) -> list[dict[str, str]]:
        system = self.settings.system
        head = [] if system is None else [{"role": "system", "content": system}]
        return [*head, *self._messages, user_message]


def _read(chunk: Any, turn: ChatTurn) -> list[Piece]:
    """Read one chunk into `turn` and return its pieces of text."""
    if chunk.usage is not None:
        details = chunk.usage.completion_tokens_details
        turn.completion_tokens = chunk.usage.completion_tokens
        turn.reasoning_tokens = details.reasoning_tokens if details else None
    pieces = []
    for choice in chunk.choices:
        fields: Mapping[str, Any] = choice.delta.model_extra or {}
        if thought := fields.get("reasoning") or fields.get("reasoning_content"):
            pieces.append(Piece(thought, is_thought=True))
        if choice.delta.content:
            turn.answer += choice.delta.content
            pieces.append(Piece(choice.delta.content, is_thought=False))
        turn.finish_reason = choice.finish_reason or turn.finish_reason
        turn.receipt = (choice.model_extra or {}).get("thinking") or turn.receipt
    return pieces
