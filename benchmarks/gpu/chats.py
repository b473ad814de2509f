"""Crowds of streamed chats.

Speaks OpenAI's chat API over HTTP, so that the same code drives our server and vLLM's. Does not
start servers.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

TIMEOUT_SECONDS = 180.0


@dataclass(slots=True)
class Reply:
    """A streamed chat, as its client saw it."""

    first_seconds: float | None = None  # to the first text of the answer
    usage: dict[str, Any] = field(default_factory=dict)
    receipts: list[dict[str, Any]] = field(default_factory=list)
    finish_reasons: list[str] = field(default_factory=list)
    has_reasoning_text: bool = False


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
        RuntimeError: the server answered with an error, before or inside the stream.
    """
    reply, begin = Reply(), time.perf_counter()
    async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code != httpx.codes.OK:
            raise RuntimeError(f"{answer.status_code}: {(await answer.aread()).decode()[:300]}")
        async for line in answer.aiter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            event = json.loads(line.removeprefix("data: "))
            if "error" in event:
                raise RuntimeError(str(event["error"])[:300])
            _take_event(reply, event, begin)
    return reply


def _take_event(reply: Reply, event: dict[str, Any], begin: float) -> None:
    reply.usage = event.get("usage") or reply.usage
    for choice in event["choices"]:
        delta = choice.get("delta") or {}
        if delta.get("content") and reply.first_seconds is None:
            reply.first_seconds = time.perf_counter() - begin
        if delta.get("reasoning") or delta.get("reasoning_content"):
            reply.has_reasoning_text = True
        if choice.get("thinking"):
            reply.receipts.append(choice["thinking"])
        if choice.get("finish_reason"):
            reply.finish_reasons.append(choice["finish_reason"])


async def send_crowd(url: str, bodies: Sequence[dict[str, Any]]) -> tuple[float, list[Reply]]:
    """Send all bodies at once; return completion tokens per second, and the replies."""
    limits = httpx.Limits(max_connections=len(bodies))
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT_SECONDS, limits=limits) as client:
        begin = time.perf_counter()
        replies = await asyncio.gather(*(send_chat(client, body) for body in bodies))
        seconds = time.perf_counter() - begin
    return sum(reply.usage["completion_tokens"] for reply in replies) / seconds, replies
