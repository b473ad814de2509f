"""Crowds of streamed chats.

Speaks OpenAI's chat API over HTTP, so that the same code drives our server and vLLM's. Does not
start servers.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import httpx

from benchmarks.streams import ChatError, Reply, read_reply

TIMEOUT_SECONDS = 180.0


def make_bodies(
    model: str, count: int, max_tokens: int, *, ending: str = "", **fields: Any
) -> list[dict[str, Any]]:
    """Return the bodies of a crowd; `fields` are added to each, `ending` to its message."""
    return [
        {
            "model": model,
            "messages": [{"role": "user", "content": f"What is {n} + 25?{ending}"}],
            "max_completion_tokens": max_tokens,
            "temperature": 1.0,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
            **fields,
        }
        for n in range(count)
    ]


async def send_chat(client: httpx.AsyncClient, body: dict[str, Any]) -> Reply:
    """Send one chat and read its stream to the end.

    Raises:
        ChatError: the server answered with an error, before or inside the stream.
    """
    arrivals, begin = [], time.perf_counter()
    async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code != httpx.codes.OK:
            raise ChatError(f"{answer.status_code}: {(await answer.aread()).decode()[:300]}")
        async for part in answer.aiter_bytes():
            arrivals.append((time.perf_counter() - begin, part))
    return read_reply(arrivals)


async def send_crowd(url: str, bodies: Sequence[dict[str, Any]]) -> tuple[float, list[Reply]]:
    """Send all bodies at once; return completion tokens per second, and the replies."""
    limits = httpx.Limits(max_connections=len(bodies))
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS, limits=limits) as client:
        begin = time.perf_counter()
        replies = await asyncio.gather(*(send_chat(client, body) for body in bodies))
        seconds = time.perf_counter() - begin
    return sum(reply.num_tokens for reply in replies) / seconds, replies
