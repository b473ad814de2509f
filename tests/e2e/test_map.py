"""A map of a text by the real engine: a thought helps where the number must be worked out."""

import math
import re
import time
from typing import Any

import httpx
import pytest

from tests.e2e.process import Server

pytestmark = pytest.mark.e2e

# Of the picture in docs/map.md.
QUESTION = "Boxes: red 3*3+9+3-7, blue 7. What does each hold, mod 10?"
TEXT = "The red box holds 4. The blue box holds 7."
HARD = "4"
MESSAGES = [{"role": "user", "content": QUESTION}]


async def get_map(server: Server, **fields: Any) -> dict[str, Any]:
    body = {
        "model": "thinker",
        "text": TEXT,
        "messages": MESSAGES,
        "thought_tokens": 64,
        "temperature": 0,
        **fields,
    }
    async with httpx.AsyncClient(base_url=server.base_url, timeout=120) as client:
        reply = await client.post("/v1/thinking/map", json=body)
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


async def test_thought_helps_at_the_hard_number_and_hurts_nowhere(thinker_server: Server) -> None:
    reply = await get_map(thinker_server, mix=[0, 0.5, 1], include_reasoning=True)
    positions = reply["positions"]
    assert "".join(position["token"] for position in positions) == TEXT
    (hard,) = (position for position in positions if position["token"] == HARD)
    assert hard["gain"] > 1.5
    assert hard["logprob_with_thought"] > math.log(0.9)
    assert "=4\n" in hard["reasoning"]
    for position in positions:
        if position is not hard:
            assert abs(position["gain"]) < 0.1, position
        assert position["thought_tokens"] <= 64
        without, half, with_thought = position["logprob_mixed"]
        assert (without, with_thought) == (position["logprob"], position["logprob_with_thought"])
        # The mixture is a little too low where a list lacks what the other has.
        assert half > min(without, with_thought) - 0.05
    used = sum(position["thought_tokens"] for position in positions)
    usage = reply["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == used
    assert usage["completion_tokens"] >= used + 2 * len(positions)


async def test_what_a_thought_is_worth_is_what_chat_says_it_is(thinker_server: Server) -> None:
    """The first token's log-probabilities are those of a chat that opens with the thought."""
    start = (await get_map(thinker_server))["positions"][0]
    async with httpx.AsyncClient(base_url=thinker_server.base_url, timeout=120) as client:
        for budget, name in ((0, "logprob"), (64, "logprob_with_thought")):
            body = {
                "model": "thinker",
                "messages": MESSAGES,
                "max_thinking_tokens": budget,
                "max_completion_tokens": 128,
                "temperature": 0,
                "logprobs": True,
            }
            reply = (await client.post("/v1/chat/completions", json=body)).json()
            entry = reply["choices"][0]["logprobs"]["content"][0]
            assert entry["token"] == start["token"]
            assert entry["logprob"] == pytest.approx(start[name], abs=1e-3)


async def test_the_positions_share_the_text_in_the_engines_cache(thinker_server: Server) -> None:
    def count(text: str, name: str) -> float:
        found = re.search(rf"^vllm:prefix_cache_{name}_total\S* (\S+)$", text, re.MULTILINE)
        assert found
        return float(found[1])

    before = await thinker_server.get_text("/metrics")
    # Longer than two of the cache's blocks, whichever size they have.
    long = [{"role": "user", "content": " ".join([QUESTION] * 12)}]
    reply = await get_map(thinker_server, messages=long, thought_tokens=8)
    assert reply["usage"]["prompt_tokens"] > 300
    after = await thinker_server.get_text("/metrics")
    asked, hit = (count(after, n) - count(before, n) for n in ("queries", "hits"))
    assert hit / asked > 0.5


async def test_a_client_that_leaves_takes_all_requests_with_it(thinker_server: Server) -> None:
    body = {"model": "thinker", "text": TEXT * 8, "thought_tokens": 800, "stream": True}
    async with (
        httpx.AsyncClient(base_url=thinker_server.base_url, timeout=120) as client,
        client.stream("POST", "/v1/thinking/map", json=body) as response,
    ):
        async for line in response.aiter_lines():
            if '"done":1,' in line:
                break
    until_idle = r"^vllm:num_requests_running\S* 0\.0$"
    until = time.monotonic() + 120
    metrics = ""
    while not re.search(until_idle, metrics, re.MULTILINE):
        assert time.monotonic() < until, "requests still run"
        metrics = await thinker_server.get_text("/metrics")
    assert "thinking_requests_in_flight 1.0" in metrics  # this one
