"""OpenAI's WebSocket mode of Responses on the real engine, with OpenAI's own client."""

import json
from random import Random
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.resources.responses.responses import AsyncResponsesConnection

from tests.e2e.shared import ThinkerServer
from thinker.chain import QUESTIONS, make_random_chain

pytestmark = pytest.mark.e2e

BUDGET = 300
CHAINS = [make_random_chain(Random(seed), 10, 14) for seed in range(2)]
LAST = ("response.completed", "response.incomplete", "response.failed", "error")


def ask(place: int) -> str:
    return "".join(QUESTIONS[1](CHAINS[place]))


async def read_until(connection: AsyncResponsesConnection, *kinds: str) -> dict[str, Any]:
    async for event in connection:
        if event.type in kinds:
            return event.to_dict(mode="json")
    raise AssertionError("the server closed the connection")


async def test_a_steer_ends_the_thought_and_a_successor_answers(
    thinker_server: ThinkerServer,
) -> None:
    client = AsyncOpenAI(api_key="none", base_url=f"{thinker_server.base_url}/v1")
    settings: dict[str, Any] = {
        "model": "thinker",
        "max_output_tokens": BUDGET + 100,
        "store": False,
        "temperature": 0,
        # Only the budget or a steer ends it.
        "max_thinking_tokens": BUDGET,
        "min_thinking_tokens": BUDGET,
        "thinking_options": {"loop_guard": False, "grace": 0},
        "include_reasoning": True,
    }
    async with client, client.responses.connect() as connection:
        create = {"type": "response.create", "input": ask(0), **settings}
        await connection.send_raw(json.dumps(create))
        created = await read_until(connection, "response.created")
        steered_id = created["response"]["id"]
        await read_until(connection, "response.reasoning_text.delta")
        await connection.response.steer(previous_response_id=steered_id, input=ask(1))
        ended = (await read_until(connection, *LAST))["response"]
        successor = (await read_until(connection, *LAST))["response"]
    assert ended["status"] == "incomplete"
    assert ended["incomplete_details"]["reason"] == "steered"
    used = ended["usage"]["output_tokens_details"]["reasoning_tokens"]
    assert 0 < used == ended["thinking"]["used"] < BUDGET
    assert ended["thinking"]["stop"] == "caller"
    assert successor["status"] == "completed"
    assert successor["previous_response_id"] == steered_id
    assert successor["thinking"]["used"] == BUDGET
    assert successor["usage"]["output_tokens"] > BUDGET
