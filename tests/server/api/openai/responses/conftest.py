"""Bodies, transcripts and short conversations with the endpoint."""

import json
from typing import Any

import httpx

from tests.server.conftest import MODEL, Served, split_events

Json = dict[str, Any]


def make_body(**fields: Any) -> Json:
    """Return a small valid body, changed by `fields`."""
    return {"model": MODEL, "input": "How many?", "temperature": 0, **fields}


async def post(served: Served, **fields: Any) -> httpx.Response:
    return await served.http.post("/v1/responses", json=make_body(**fields))


async def respond(served: Served, **fields: Any) -> Json:
    """Return the response to a valid body."""
    response = await post(served, **fields)
    assert response.status_code == 200, response.text
    found: Json = response.json()
    return found


async def get_refusal(served: Served, **fields: Any) -> Json:
    """Return the error of an invalid body."""
    response = await post(served, **fields)
    assert response.status_code == 400, response.text
    found: Json = response.json()["error"]
    return found


def get_ignored(response: httpx.Response) -> list[str]:
    """Return the paths of the fields and tools that were not used."""
    named = response.headers.get("x-ignored-fields", "")
    return named.split(", ") if named else []


async def get_transcript(served: Served, **fields: Any) -> list[Json]:
    """Return the events of a stream, after checking their frames and numbers."""
    response = await post(served, stream=True, **fields)
    assert response.status_code == 200, response.text
    frames = split_events(response.text)
    events = []
    for number, frame in enumerate(frames):
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        events.append(event)
    return events


def get_items(response: Json, kind: str) -> list[Json]:
    return [item for item in response["output"] if item["type"] == kind]


def get_answer(response: Json) -> str:
    return "".join(item["content"][0]["text"] for item in get_items(response, "message"))
