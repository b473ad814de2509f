"""``max_thinking_seconds`` and the load on the real engine, over HTTP."""

import asyncio
import json
import re
from typing import Any

import httpx
import pytest

from tests.e2e.process import Server

pytestmark = pytest.mark.e2e

SECONDS = 1.0
WAIT_SECONDS = 600.0  # for a long answer, on a busy machine
BUDGET = 1000  # more than this model writes in that time on any machine that we know


def body(**fields: Any) -> dict[str, Any]:
    return {
        "model": "smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "Tell me about cats and dogs, briefly."}],
        "max_thinking_tokens": BUDGET,
        "min_thinking_tokens": BUDGET,
        "max_thinking_seconds": SECONDS,
        "max_completion_tokens": 2 * BUDGET,
        "thinking_options": {"loop_guard": False, "wrap_up": "That is enough."},
        "include_reasoning": True,
        "temperature": 0,
        **fields,
    }


async def post(server: Server, **fields: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=server.base_url, timeout=WAIT_SECONDS) as client:
        response = await client.post("/v1/chat/completions", json=body(**fields))
    assert response.status_code == 200, response.text
    reply: dict[str, Any] = response.json()
    return reply


def check_cut(choice: dict[str, Any]) -> None:
    receipt = choice["thinking"]
    assert receipt["stop"] == "time"
    assert (receipt["budget"], receipt["limited_by"]) == (BUDGET, None)
    assert 0 < receipt["used"] < BUDGET
    # The time is looked at when a token comes; the closing tokens come after it.
    assert SECONDS <= receipt["seconds"] < SECONDS + 20
    assert choice["message"]["reasoning"].endswith("That is enough.")


@pytest.mark.parametrize("num_choices", [1, 2])
async def test_a_thought_ends_with_its_time_and_every_token_is_counted(
    server: Server, num_choices: int
) -> None:
    # How much is thought depends on the machine, so what the answer would be, too; this model
    # also writes markers into it, which are counted and not shown.
    reply = await post(
        server,
        n=num_choices,
        logprobs=True,
        structured_outputs={"regex": "[a-z]{1,9}( [a-z]{1,9}){9}"},
    )
    usage, num_answer = reply["usage"], 0
    for choice in reply["choices"]:
        check_cut(choice)
        assert choice["finish_reason"] == "stop"
        text, entries = choice["message"]["content"], choice["logprobs"]["content"]
        assert len(text.split()) == 10
        assert "".join(entry["token"] for entry in entries) == text
        num_answer += len(entries) + 1  # and the token that ends it
    used = sum(choice["thinking"]["used"] for choice in reply["choices"])
    assert usage["completion_tokens_details"]["reasoning_tokens"] == used
    assert usage["completion_tokens"] == used + num_answer


async def test_the_free_answer_after_a_cut_thought_is_clean_text(server: Server) -> None:
    reply = await post(server, n=2, logprobs=True, stop=["."])
    usage, num_shown = reply["usage"], 0
    for choice in reply["choices"]:
        check_cut(choice)
        text, entries = choice["message"]["content"], choice["logprobs"]["content"]
        assert text.strip()
        assert "\ufffd" not in text
        assert "ofthought" not in text
        assert text.startswith("".join(entry["token"] for entry in entries))
        num_shown += len(entries)
    used = sum(choice["thinking"]["used"] for choice in reply["choices"])
    assert usage["completion_tokens_details"]["reasoning_tokens"] == used
    assert usage["completion_tokens"] >= used + num_shown


async def test_the_answer_after_a_cut_thought_keeps_to_its_schema(server: Server) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"enum": ["cat", "dog"]}, "legs": {"enum": [4, 5]}},
        "required": ["name", "legs"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "pet", "schema": schema}}
    (choice,) = (await post(server, response_format=form))["choices"]
    check_cut(choice)
    answer = json.loads(choice["message"]["content"])
    assert answer["name"] in ("cat", "dog")
    assert answer["legs"] in (4, 5)


async def test_the_load_is_read_from_the_engine_and_its_own_metrics_stay(server: Server) -> None:
    asking = asyncio.create_task(post(server, n=4, stop=["."]))
    try:
        async with asyncio.timeout(60):
            while (await load_of(server)) == 0:  # noqa: ASYNC110 (a server elsewhere)
                await asyncio.sleep(0.05)
    finally:
        reply = await asking
    assert len(reply["choices"]) == 4
    assert await load_of(server) == 0
    assert "vllm:kv_cache_usage_perc{" in await server.get_text("/metrics")


async def load_of(server: Server) -> float:
    text = await server.get_text("/metrics")
    (load,) = re.findall(r"^thinking_load (\S+)$", text, re.MULTILINE)
    return float(load)
