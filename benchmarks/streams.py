"""Streamed chats, read from the parts of a body and the times at which these came.

Speaks OpenAI's chat API, ours and that of peers. Sends nothing.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

DATA, DONE = b"data: ", b"[DONE]"


class ChatError(RuntimeError):
    """Chat that a server answered with an error, before or inside its stream."""


@dataclass(slots=True)
class Reply:
    """A streamed chat as its client saw it; times are seconds from its sending.

    `texts` are the arrivals that brought text, shown thought or answer.
    """

    first_byte: float
    texts: list[float] = field(default_factory=list)
    first_answer: float | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    receipts: list[dict[str, Any]] = field(default_factory=list)
    finish_reasons: list[str] = field(default_factory=list)
    has_reasoning_text: bool = False

    @property
    def gaps(self) -> list[float]:
        """Seconds between arrivals with text."""
        return [later - earlier for earlier, later in pairwise(self.texts)]

    @property
    def num_tokens(self) -> int:
        """Tokens that the server says it has generated."""
        return int(self.usage["completion_tokens"])


def read_reply(arrivals: Sequence[tuple[float, bytes]]) -> Reply:
    """Read a stream's events from its parts, each with the seconds at which it came.

    Raises:
        ChatError: the stream has an error, or no usage.
    """
    reply = Reply(first_byte=arrivals[0][0])
    for seconds, event in _iterate_events(arrivals):
        if "error" in event:
            raise ChatError(str(event["error"])[:300])
        reply.usage = event.get("usage") or reply.usage
        for choice in event["choices"]:
            _take_choice(reply, choice, seconds)
    if not reply.usage:
        raise ChatError("the stream ended without its usage")
    return reply


def _take_choice(reply: Reply, choice: dict[str, Any], seconds: float) -> None:
    delta = choice.get("delta") or {}
    thought = delta.get("reasoning") or delta.get("reasoning_content")
    reply.has_reasoning_text |= bool(thought)
    if (thought or delta.get("content")) and (not reply.texts or reply.texts[-1] != seconds):
        reply.texts.append(seconds)
    if delta.get("content") and reply.first_answer is None:
        reply.first_answer = seconds
    if choice.get("thinking"):
        reply.receipts.append(choice["thinking"])
    if choice.get("finish_reason"):
        reply.finish_reasons.append(choice["finish_reason"])


def _iterate_events(
    arrivals: Sequence[tuple[float, bytes]],
) -> Iterator[tuple[float, dict[str, Any]]]:
    """Yield each event with the time at which its last byte had arrived."""
    rest = b""
    for seconds, part in arrivals:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line.startswith(DATA) and not line.startswith(DATA + DONE):
                yield seconds, json.loads(line.removeprefix(DATA))
