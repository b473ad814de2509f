"""Anthropic's own client against an app over the scripted engine, in one process."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import httpx2  # the anthropic client's own
import pytest_asyncio
from anthropic import AsyncAnthropic

from tests.server.conftest import MODEL, Served

PATH = "/v1/messages"
Connect = Callable[[Served], AsyncAnthropic]
THOUGHT = "Two and two."
ANSWER = "It is four."
WANTED = f"{THOUGHT}</think>{ANSWER}"


@pytest_asyncio.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes clients of apps."""
    made: list[AsyncAnthropic] = []

    def make(served: Served) -> AsyncAnthropic:
        transport = httpx2.ASGITransport(served.app, raise_app_exceptions=False)
        client = AsyncAnthropic(
            api_key="none",
            base_url="http://test",
            http_client=httpx2.AsyncClient(transport=transport),
            max_retries=0,
        )
        made.append(client)
        return client

    yield make
    for client in made:
        await client.close()


def body(**fields: Any) -> dict[str, Any]:
    """A small valid body, changed by `fields`."""
    return {
        "model": MODEL,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "How many?"}],
        "temperature": 0,
        **fields,
    }


def sdk(**fields: Any) -> dict[str, Any]:
    """The same as arguments of the client, which no longer knows `temperature`."""
    arguments = body(**fields)
    arguments["extra_body"] = {"temperature": arguments.pop("temperature")}
    return arguments


def thinking(budget: int = 40, **fields: Any) -> dict[str, Any]:
    """``thinking``, switched on."""
    return {"type": "enabled", "budget_tokens": budget, **fields}


async def post(served: Served, path: str = PATH, **fields: Any) -> httpx.Response:
    """Post a body."""
    return await served.http.post(path, json=body(**fields))


async def message(served: Served, **fields: Any) -> dict[str, Any]:
    """The message that answers a body."""
    response = await post(served, **fields)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def events(served: Served, **fields: Any) -> list[dict[str, Any]]:
    """The events of a streamed message, each checked for its frame."""
    response = await post(served, stream=True, **fields)
    assert response.status_code == 200, response.text
    return parsed(response.text)


def parsed(text: str) -> list[dict[str, Any]]:
    """The events of a stream; its comments are left out."""
    found = []
    for frame in filter(None, text.split("\n\n")):
        if frame.startswith(":"):
            continue
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found
