"""Laws 5 and 6 on the real engine. A bias makes the model want what would break the law."""

from typing import Any

import httpx
import pytest
from transformers import AutoTokenizer

from server.hub.model_resolution import resolve_model
from tests.e2e.process import Server

pytestmark = pytest.mark.e2e


async def ask(server: Server, wanted: str, **fields: Any) -> dict[str, Any]:
    """The only choice of a reply by a model that wants to write `wanted` all the time."""
    tokenizer = AutoTokenizer.from_pretrained(resolve_model(None).path_or_hub_id)
    (token_id,) = tokenizer.encode(wanted, add_special_tokens=False)
    body = {
        "model": "smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "Say something."}],
        "logit_bias": {str(token_id): 100},
        "include_reasoning": True,
        "max_completion_tokens": 240,
        **fields,
    }
    async with httpx.AsyncClient(base_url=server.base_url, timeout=120) as client:
        response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    choice = response.json()["choices"][0]
    assert isinstance(choice, dict)
    return choice


async def test_a_thought_is_held_open_against_a_model_that_wants_to_end(server: Server) -> None:
    choice = await ask(server, "<|im_end|>", max_thinking_tokens=90, min_thinking_tokens=60)
    assert 60 <= choice["thinking"]["used"] <= 90
    assert choice["message"]["reasoning"].count("\nWait,") >= 2
    assert choice["thinking"]["stop"] == "eos"
    assert choice["message"]["content"]


async def test_a_model_that_wants_to_end_at_once_still_answers(server: Server) -> None:
    choice = await ask(server, "<|im_end|>", max_thinking_tokens=90)
    assert choice["thinking"]["stop"] == "eos"
    assert choice["thinking"]["used"] < 60
    assert choice["message"]["content"]


async def test_a_loop_is_broken_long_before_the_budget(server: Server) -> None:
    choice = await ask(server, " apple", max_thinking_tokens=170)
    assert choice["thinking"]["stop"] == "loop"
    assert choice["thinking"]["used"] < 120
    assert choice["message"]["content"]
