"""Law 7 on the real engine, over HTTP."""

from typing import Any

import httpx
import pytest

from tests.e2e.process import Server

pytestmark = pytest.mark.e2e
GATES: list[dict[str, Any]] = [
    {"mode": "every", "tokens": 6, "opening": False},
    {"mode": "entropy", "threshold": 0.5, "gap": 4, "opening": False},
    {"mode": "after", "strings": [",", ".", "\n"], "opening": False},
    {"mode": "every", "tokens": 5},
]


@pytest.mark.parametrize("mix", [None, 0.5])
@pytest.mark.parametrize("gate", GATES, ids=lambda gate: str(gate["mode"]))
async def test_thoughts_inside_an_answer_are_hidden_counted_and_bounded(
    server: Server, gate: dict[str, Any], mix: float | None
) -> None:
    options = {"gate": gate, "max_segments": 3, "segment_tokens": 40, "mix": mix}
    body = {
        "model": "smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "Tell me about cats and dogs, briefly."}],
        "max_thinking_tokens": 150,
        "max_completion_tokens": 260,
        "include_reasoning": True,
        "thinking_options": options,
        "seed": 1,
    }
    async with httpx.AsyncClient(base_url=server.base_url, timeout=120) as client:
        response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    reply = response.json()
    (choice,) = reply["choices"]
    receipt, usage = choice["thinking"], reply["usage"]
    opening = 1 if gate.get("opening", True) else 0
    # An opening thought may take all of the budget.
    assert 1 <= receipt["segments"] <= 3 + opening
    assert receipt["used"] <= 150
    if not opening:
        assert receipt["used"] <= 40 * receipt["segments"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == receipt["used"]
    assert choice["message"]["content"]
    assert "thought|>" not in choice["message"]["content"] + choice["message"]["reasoning"]
