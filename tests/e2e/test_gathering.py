"""Hidden tokens leave the real engine together; replies are those of single tokens."""

import re
from typing import Any

import httpx
import pytest

from tests.e2e.shared import ThinkerServer

pytestmark = pytest.mark.e2e

LENGTH = 200  # of the thought


async def count_handed_over(server: ThinkerServer) -> float:
    """Return how many outputs the engine has handed over, each request's first one aside."""
    metrics = await server.get_text("/metrics")
    counts = re.findall(r"^vllm:inter_token_latency_seconds_count\S* (\S+)$", metrics, re.M)
    return sum(map(float, counts))


async def ask(server: ThinkerServer, *, is_shown: bool) -> dict[str, Any]:
    body = {
        "messages": [{"role": "user", "content": "Start with 3. Add 4. What is it?"}],
        "max_thinking_tokens": LENGTH,
        "min_thinking_tokens": LENGTH,
        "thinking_options": {"loop_guard": False},
        "include_reasoning": is_shown,
        "temperature": 0,
        "store": False,  # a trace would have the thought, token by token
    }
    async with httpx.AsyncClient(timeout=600) as client:
        answer = await client.post(f"{server.base_url}/v1/chat/completions", json=body)
    choice: dict[str, Any] = answer.json()["choices"][0]
    return choice


async def test_a_hidden_thought_is_handed_over_in_few_parts(thinker_server: ThinkerServer) -> None:
    choices, parts = {}, {}
    for is_shown in (True, False):
        before = await count_handed_over(thinker_server)
        choices[is_shown] = await ask(thinker_server, is_shown=is_shown)
        parts[is_shown] = await count_handed_over(thinker_server) - before
    for choice in choices.values():
        assert choice["thinking"].pop("used") >= LENGTH - 1
        choice["thinking"].pop("seconds")
    assert choices[True]["message"].pop("reasoning")
    assert choices[True]["message"].pop("reasoning_content")
    choices[False]["message"].pop("reasoning", None)
    choices[False]["message"].pop("reasoning_content", None)
    assert choices[True] == choices[False]
    assert parts[True] >= LENGTH
    # As many as there are seconds, which is few where the machine is not very slow.
    assert parts[False] < parts[True] - LENGTH / 4
