"""Five calls in one turn on the real engine: the sum of their thoughts is the turn's budget."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.e2e.shared import ThinkerServer

pytestmark = pytest.mark.e2e

QUESTION = "38-3+8+6-9-6+4+5*9 mod 100 ="
BUDGET = 150


def make_body(turn_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "model": "thinker",
        "messages": [{"role": "user", "content": QUESTION}],
        "temperature": 0,
        "max_thinking_tokens": 64,
        "thinking_options": {"turn": {"id": turn_id, "budget": BUDGET}},
        **fields,
    }


async def test_five_calls_in_a_row_spend_a_turn(thinker_server: ThinkerServer) -> None:
    async with httpx.AsyncClient(base_url=thinker_server.base_url, timeout=120) as http:
        used = 0
        for _ in range(5):
            response = await http.post("/v1/chat/completions", json=make_body("in order"))
            assert response.status_code == 200, response.text
            choice = response.json()["choices"][0]
            receipt = choice["thinking"]
            assert receipt["budget"] == min(64, BUDGET - used)
            used += receipt["used"]
            assert receipt["turn"] == {"budget": BUDGET, "used": used, "remaining": BUDGET - used}
            assert choice["message"]["content"]
        assert receipt["limited_by"] == "turn"
        state = (await http.get("/v1/thinking/turns/in order")).json()
        assert (state["used"], state["reserved"]) == (used, 0)


async def test_five_calls_at_once_use_no_more_than_is_left(
    thinker_server: ThinkerServer,
) -> None:
    async with httpx.AsyncClient(base_url=thinker_server.base_url, timeout=120) as http:
        body = make_body("at once", stream=False)
        tries = [http.post("/v1/chat/completions", json=body) for _ in range(5)]
        responses = await asyncio.gather(*tries)
        receipts = [response.json()["choices"][0]["thinking"] for response in responses]
        assert sum(receipt["budget"] for receipt in receipts) <= BUDGET
        used = sum(receipt["used"] for receipt in receipts)
        state = (await http.get("/v1/thinking/turns/at once")).json()
        assert (state["used"], state["reserved"], state["remaining"]) == (used, 0, BUDGET - used)
