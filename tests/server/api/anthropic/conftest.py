"""Anthropic's own client, and an app on the scripted engine, in one process."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import httpx2  # the one that Anthropic's client uses
import pytest_asyncio
from anthropic import AsyncAnthropic

from tests.server.conftest import MODEL, Served, split_events

PATH = "/v1/messages"
Connect = Callable[[Served], AsyncAnthropic]
THOUGHT = "Two and two."
ANSWER = "It is four."
WANTED = f"{THOUGHT}</think>{ANSWER}"


@pytest_asyncio.fixture
async def connect() -> AsyncIterator[Connect]:
    """Function that creates a client of an app."""
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


def make_body(**fields: Any) -> dict[str, Any]:
    """Return a small valid body, changed by `fields`."""
    return {
        "model": MODEL,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "How many?"}],
        "temperature": 0,
        **fields,
    }


def make_arguments(**fields: Any) -> dict[str, Any]:
    """Return the same body as arguments of the client, which no longer has `temperature`."""
    arguments = make_body(**fields)
    arguments["extra_body"] = {"temperature": arguments.pop("temperature")}
    return arguments


def make_thinking(budget: int = 40, **fields: Any) -> dict[str, Any]:
    """Return ``thinking``, switched on."""
    return {"type": "enabled", "budget_tokens": budget, **fields}


async def post(served: Served, path: str = PATH, **fields: Any) -> httpx.Response:
    """Post a body."""
    return await served.http.post(path, json=make_body(**fields))


async def create_message(served: Served, **fields: Any) -> dict[str, Any]:
    """Post a body, and return the message."""
    response = await post(served, **fields)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def get_events(served: Served, **fields: Any) -> list[dict[str, Any]]:
    """Return the events of a streamed message, after checking their frames."""
    response = await post(served, stream=True, **fields)
    assert response.status_code == 200, response.text
    return parse_events(response.text)


def parse_events(text: str) -> list[dict[str, Any]]:
    """Return the events of a stream, without its comments."""
    found = []
    for frame in split_events(text):
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        found.append(event)
    return found
