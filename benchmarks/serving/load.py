"""Crowds of streamed chats, timed by when their bytes arrive.

While a crowd runs, arrivals are only noted; their events are read afterwards, so that the client
takes as little as it can of the cores that the servers are measured on. Does not start servers.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import aiohttp

TIMEOUT_SECONDS = 600.0
DATA, DONE = b"data: ", b"[DONE]"


class ChatError(Exception):
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


@dataclass(frozen=True, slots=True)
class CrowdTimes:
    """Replies to a crowd, and how long all of it took."""

    seconds: float
    replies: list[Reply]

    @property
    def num_tokens(self) -> int:
        """Tokens generated in all replies."""
        return sum(reply.num_tokens for reply in self.replies)

    def find_gap(self, quantile: float) -> float | None:
        """Return the quantile of all gaps of all replies; None if there is none."""
        gaps = sorted(gap for reply in self.replies for gap in reply.gaps)
        return gaps[min(len(gaps) - 1, int(quantile * len(gaps)))] if gaps else None

    def find_median(self, name: str) -> float | None:
        """Return the median of a time of the replies that have it."""
        times = [time for reply in self.replies if (time := getattr(reply, name)) is not None]
        return statistics.median(times) if times else None


async def send_crowd(url: str, bodies: Sequence[dict[str, Any]]) -> CrowdTimes:
    """Send all bodies at once, each on a connection of its own, and read the replies.

    Raises:
        ChatError: a server answered with an error.
    """
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    # llama.cpp closes a connection after its stream without saying so.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(url, timeout=timeout, connector=connector) as session:
        begin = time.perf_counter()
        streams = await asyncio.gather(*(_send_chat(session, body) for body in bodies))
        seconds = time.perf_counter() - begin
    return CrowdTimes(seconds, [read_reply(arrivals) for arrivals in streams])


async def _send_chat(
    session: aiohttp.ClientSession, body: dict[str, Any]
) -> list[tuple[float, bytes]]:
    begin, arrivals = time.perf_counter(), []
    async with session.post("/v1/chat/completions", json=body) as answer:
        if not answer.ok:
            raise ChatError(f"{answer.status}: {(await answer.text())[:300]}")
        async for part in answer.content.iter_any():
            arrivals.append((time.perf_counter() - begin, part))
    return arrivals


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
