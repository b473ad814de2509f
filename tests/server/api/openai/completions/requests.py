"""Asking for text completions, and reading what comes."""

import json
from typing import Any

import httpx

from tests.server.conftest import MODEL, Served

PATH = "/v1/completions"
PROMPT = "The ant is on"


def completion_body(**fields: Any) -> dict[str, Any]:
    """A small valid body, changed by `fields`."""
    return {"model": MODEL, "prompt": PROMPT, "temperature": 0, **fields}


async def post(served: Served, **fields: Any) -> httpx.Response:
    """Ask for a completion."""
    return await served.http.post(PATH, json=completion_body(**fields))


async def complete(served: Served, **fields: Any) -> dict[str, Any]:
    """A whole completion."""
    response = await post(served, **fields)
    assert response.status_code == 200, response.text
    return dict(response.json())


async def refusal(served: Served, **fields: Any) -> dict[str, Any]:
    """The error of a request that is refused with a 400."""
    response = await post(served, **fields)
    assert response.status_code == 400, response.text
    return dict(response.json()["error"])


async def events(served: Served, **fields: Any) -> list[dict[str, Any]]:
    """The JSON events of a stream, checked for their frame."""
    response = await post(served, stream=True, **fields)
    assert response.status_code == 200, response.text
    lines = [line for line in response.text.split("\n\n") if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


async def streamed(served: Served, **fields: Any) -> dict[str, Any]:
    """A streamed completion, put together again."""
    chunks = await events(served, stream_options={"include_usage": True}, **fields)
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


def untimed(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Choices without what no two runs share."""
    return [choice | {"thinking": choice["thinking"] | {"seconds": 0}} for choice in choices]
