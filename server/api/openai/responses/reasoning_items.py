"""Reasoning items of Responses: a thought as it is sent, sent back, and stored.

Other servers' forms of a thought are read, too. Does not know how a thought is sealed.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from server.api.body import StrictModel
from server.api.openai.responses.parts import Status


class SummaryText(StrictModel):
    """Part of a summary. Other servers give it other types."""

    type: str = "summary_text"
    text: str = ""


class ReasoningText(StrictModel):
    """Part of a thought. Other servers give it other types, and encrypted parts no text."""

    type: str = "reasoning_text"
    text: str = ""


def _to_parts(value: Any) -> Any:
    """Return a thought's parts; other servers have texts in their place."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list):
        return value
    return [{"text": text} if isinstance(text, str) else text for text in texts]


class ReasoningItem(StrictModel):
    """Thought that belongs to the assistant's item after it."""

    type: Literal["reasoning"]
    summary: Annotated[list[SummaryText] | None, BeforeValidator(_to_parts)] = None
    content: Annotated[list[ReasoningText] | None, BeforeValidator(_to_parts)] = None
    encrypted_content: str | None = None
    id: str | None = None
    status: Status | None = None

    def to_listed(self) -> dict[str, Any]:
        """Return the item as OpenAI lists it, with no part of the thought that is hidden."""
        item: dict[str, Any] = {
            "id": self.id,
            "type": "reasoning",
            "status": self.status or "completed",
            "summary": [{"type": "summary_text", "text": part.text} for part in self.summary or ()],
        }
        if self.content is not None:
            item["content"] = [
                {"type": "reasoning_text", "text": part.text} for part in self.content
            ]
        if self.encrypted_content is not None:
            item["encrypted_content"] = self.encrypted_content
        return item


class StoredReasoningItem(ReasoningItem):
    """Our own reasoning item, stored with its whole thought; never read from a body."""

    thought: str = Field(exclude=True, repr=False)
