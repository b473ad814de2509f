"""On the real engine: a prompt that was sent before comes from the cache, and every API says so."""

import json
import secrets
from typing import Any

import httpx
import pytest

from tests.e2e.process import Server

pytestmark = pytest.mark.e2e

MODEL = "smollm2-135m-instruct"
# Whole blocks only are cached; the CPU's have 32 tokens.
BLOCK = 32
FILLER = "An apple costs two coins and a pear costs three coins at the old market. " * 8

Json = dict[str, Any]


def make_bodies(text: str) -> dict[str, Json]:
    """Return a body for each API; `text` begins a prompt that no other test sends."""
    common = {"model": MODEL, "max_thinking_tokens": 0, "temperature": 0}
    messages = [{"role": "user", "content": text}]
    return {
        "/v1/chat/completions": {**common, "messages": messages, "max_completion_tokens": 2},
        "/v1/completions": {**common, "prompt": text, "max_tokens": 2},
        "/v1/responses": {**common, "input": text, "max_output_tokens": 2},
        "/v1/messages": {**common, "messages": messages, "max_tokens": 2},
    }


def get_counts(usage: Json) -> tuple[int, int]:
    """Return the number of prompt tokens and how many of them were cached."""
    if "cache_read_input_tokens" in usage:
        cached = usage["cache_read_input_tokens"]
        return usage["input_tokens"] + cached, cached
    num_prompt = usage.get("prompt_tokens") or usage["input_tokens"]
    details = usage.get("prompt_tokens_details") or usage["input_tokens_details"]
    return num_prompt, details["cached_tokens"]


async def post(server: Server, path: str, body: Json) -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.base_url, timeout=120) as http:
        response = await http.post(path, json=body)
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize("path", make_bodies(""))
async def test_a_prompt_that_was_sent_before_is_cached_up_to_its_last_block(
    server: Server, path: str
) -> None:
    body = make_bodies(f"{secrets.token_hex(4)} {FILLER}")[path]
    num_prompt, before = get_counts((await post(server, path, body)).json()["usage"])
    again = get_counts((await post(server, path, body)).json()["usage"])
    # The beginning of a chat, before the text, is every request's.
    assert before <= BLOCK
    assert num_prompt > 4 * BLOCK
    assert again == (num_prompt, (num_prompt - 1) // BLOCK * BLOCK)


async def test_several_choices_count_what_was_there_before_them(server: Server) -> None:
    path = "/v1/chat/completions"
    body = make_bodies(f"{secrets.token_hex(4)} {FILLER}")[path] | {"n": 3, "temperature": 1}
    num_prompt, before = get_counts((await post(server, path, body)).json()["usage"])
    assert before <= BLOCK
    options = {"stream": True, "stream_options": {"include_usage": True}}
    text = (await post(server, path, body | options)).text
    last = json.loads(text.split("data: ")[-2])
    assert get_counts(last["usage"]) == (num_prompt, (num_prompt - 1) // BLOCK * BLOCK)
