"""An engine without room for its requests throws some out and begins them anew: no reply changes.

The cache holds three of the replies that are written together, so that vLLM gives up
running requests (preempts them), and resumes them later from the tokens that they have. What
the sampler knows of a thought must come back with them.
"""

import asyncio
import re
from collections.abc import Sequence
from random import Random
from typing import Any

import httpx
import pytest

from tests.e2e.process import Server
from tests.e2e.shared import CRAMPED_REQUESTS
from thinker.chain import QUESTIONS, make_random_chain

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1800)]

NUM_STEPS = 14
IN_SENTENCES = QUESTIONS[1]
# What makes a thought end, or hold; each leaves other traces in the sampler's state.
KINDS: Sequence[dict[str, Any]] = (
    {"max_thinking_tokens": 400},
    {"max_thinking_tokens": 61, "thinking_options": {"grace": 0, "wrap_up": "So:"}},
    {"max_thinking_tokens": 75, "thinking_options": {"grace": 20}},
    {"max_thinking_tokens": 220, "min_thinking_tokens": 160},
    {"max_thinking_tokens": 200, "temperature": 1.0},
    {"max_thinking_tokens": 0, "min_tokens": 60, "max_completion_tokens": 100},
)


def bodies() -> list[dict[str, Any]]:
    """As many of each kind; greedy or seeded, so that each has one right reply."""
    rng = Random(7)
    chains = [make_random_chain(rng, 10, NUM_STEPS) for _ in range(CRAMPED_REQUESTS)]
    return [
        {
            "model": "thinker",
            "messages": [{"role": "user", "content": "".join(IN_SENTENCES(chain))}],
            "max_completion_tokens": 400,
            "temperature": 0.0,
            "seed": index,
            "include_reasoning": True,
            **KINDS[index % len(KINDS)],
        }
        for index, chain in enumerate(chains)
    ]


async def reply_to(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    choice = response.json()["choices"][0]
    del choice["thinking"]["seconds"]
    assert isinstance(choice, dict)
    return choice


async def num_preemptions(server: Server) -> float:
    metrics = await server.get_text("/metrics")
    (value,) = re.findall(r"^vllm:num_preemptions_total\S* (\S+)$", metrics, re.M)
    return float(value)


async def test_a_preempted_reply_is_the_reply_of_the_same_request_alone(
    cramped_server: Server,
) -> None:
    asked = bodies()
    async with httpx.AsyncClient(base_url=cramped_server.base_url, timeout=300) as client:
        together = await asyncio.gather(*(reply_to(client, body) for body in asked))
        preempted = await num_preemptions(cramped_server)
        alone = [await reply_to(client, body) for body in asked]
    assert preempted >= 1
    # Else the replies that they are compared with would be preempted ones, too.
    assert await num_preemptions(cramped_server) == preempted
    assert together == alone
    for body, crowded in zip(asked, together, strict=True):
        assert crowded["thinking"]["used"] <= body["max_thinking_tokens"]
        assert crowded["thinking"]["used"] >= body.get("min_thinking_tokens", 0)
