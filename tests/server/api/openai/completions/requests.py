"""Requests for text completions, and readers of the replies."""

import json
from typing import Any

import httpx

from tests.server.conftest import MODEL, Served, split_events

PATH = "/v1/completions"
PROMPT = "The ant is on"


def make_body(**fields: Any) -> dict[str, Any]:
    """Return a small valid body, changed by `fields`."""
    return {"model": MODEL, "prompt": PROMPT, "temperature": 0, **fields}


async def post(served: Served, **fields: Any) -> httpx.Response:
    """Request a completion."""
    return await served.http.post(PATH, json=make_body(**fields))


async def complete(served: Served, **fields: Any) -> dict[str, Any]:
    """Return a whole completion."""
    response = await post(served, **fields)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def get_refusal(served: Served, **fields: Any) -> dict[str, Any]:
    """Return the error of a request that is refused with a 400."""
    response = await post(served, **fields)
    assert response.status_code == 400, response.text
    return dict(response.json()["error"])


async def get_events(served: Served, **fields: Any) -> list[dict[str, Any]]:
    """Return the JSON events of a stream, after checking their frames."""
    response = await post(served, stream=True, **fields)
    assert response.status_code == 200, response.text
    lines = split_events(response.text)
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


async def stream(served: Served, **fields: Any) -> dict[str, Any]:
    """Return a streamed completion, joined from its chunks."""
    chunks = await get_events(served, stream_options={"include_usage": True}, **fields)
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks[:-1]:
        assert chunk["object"] == "text_completion"
        for piece in chunk["choices"]:
            _join(choices.setdefault(piece["index"], {"text": "", "logprobs": None}), piece)
    assert chunks[-1]["choices"] == []
    return {
        "choices": [choice for _, choice in sorted(choices.items())],
        "usage": chunks[-1]["usage"],
    }


def _join(choice: dict[str, Any], piece: dict[str, Any]) -> None:
    assert not choice.get("finish_reason"), "nothing comes after the finish_reason"
    text, lists = choice["text"] + piece["text"], choice["logprobs"]
    if new := piece["logprobs"]:
        lists = {name: (lists or {}).get(name, []) + new[name] for name in new}
    thought = {
        name: choice.get(name, "") + piece[name]
        for name in ("reasoning", "reasoning_content")
        if name in piece
    }
    choice.update(piece | thought | {"text": text, "logprobs": lists})


def remove_times(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return choices without their times, which differ between runs."""
    return [choice | {"thinking": choice["thinking"] | {"seconds": 0}} for choice in choices]
