"""Crowds of streamed chats, timed by when their bytes arrive.

While a crowd runs, arrivals are only noted; their events are read afterwards, so that the client
takes as little as it can of the cores that the servers are measured on. Does not start servers.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.streams import ChatError, Reply, read_reply

TIMEOUT_SECONDS = 600.0


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
