"""Hidden thoughts that a chat's client keeps sealed, in OpenRouter's form (``reasoning_details``).

The client gets each thought when it ends, as a detail of type ``reasoning.encrypted``, and sends it
back with the history: so a thought survives a tool call. Does not know who may see thoughts.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from server.api.openai.messages import Message
from server.choice.delta import ChoiceDelta, SealedThought
from server.keys.sealed_thoughts import SealError, ThoughtSeal

ENCRYPTED_CONTENT = "reasoning.encrypted_content"
_ENCRYPTED = "reasoning.encrypted"
# OpenRouter's clients know a list of formats, and drop details of any other.
_FORMAT = "unknown"


async def seal_thoughts(
    deltas: AsyncGenerator[ChoiceDelta, None], seal: ThoughtSeal, *, shows_thought: bool
) -> AsyncGenerator[ChoiceDelta, None]:
    """Yield `deltas`, whose thoughts have text, with each thought sealed where it ends.

    The text itself stays only if `shows_thought`.
    """
    texts: dict[int, str] = {}  # of the thoughts that run, by choice
    counts: dict[int, int] = {}
    async with aclosing(deltas):
        async for delta in deltas:
            index = delta.index
            text = texts.get(index, "") + delta.reasoning
            if text and (delta.content or delta.tool_calls or delta.result):
                number = counts.get(index, 0)
                delta.sealed_thoughts.append(SealedThought(number, seal.seal(text)))
                counts[index], text = number + 1, ""
            texts[index] = text
            if not shows_thought:
                delta.reasoning = ""
            if not delta.is_empty:
                yield delta


def to_details(
    reply_id: str, choice: int, thoughts: Sequence[SealedThought]
) -> list[dict[str, Any]]:
    """Return the ``reasoning_details`` of thoughts of one choice."""
    token = reply_id.rpartition("-")[2]
    return [
        {
            "type": _ENCRYPTED,
            "data": thought.data,
            "id": f"rs_{token}_{choice}_{thought.index}",
            "format": _FORMAT,
            "index": thought.index,
        }
        for thought in thoughts
    ]


def open_thoughts(message: Message, seal: ThoughtSeal) -> Message:
    """Return `message` with the text of each thought that was sealed here for this caller.

    Others stay as they are: they cannot be read, and are left out of the prompt.
    """
    details = message.reasoning_details
    if not isinstance(details, list):
        return message
    opened = [_open_detail(detail, seal) for detail in details]
    return message.model_copy(update={"reasoning_details": opened})


def _open_detail(detail: Any, seal: ThoughtSeal) -> Any:
    if not isinstance(detail, dict) or detail.get("type") != _ENCRYPTED:
        return detail
    data = detail.get("data")
    if not isinstance(data, str):
        return detail
    try:
        return {"type": "reasoning.text", "text": seal.open(data)}
    except SealError:
        return detail
