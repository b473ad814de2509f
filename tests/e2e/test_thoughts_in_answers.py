"""Law 7 on the real engine, over HTTP."""

from functools import partial
from typing import Any

import httpx
import pytest

from tests.e2e.batch import Replies
from tests.e2e.process import Server

pytestmark = pytest.mark.e2e
MARKERS = ("<|startofthought|>", "<|endofthought|>")
GATES: list[dict[str, Any]] = [
    {"mode": "every", "tokens": 6, "opening": False},
    {"mode": "entropy", "threshold": 0.5, "gap": 4, "opening": False},
    {"mode": "after", "strings": [",", ".", "\n"], "opening": False},
    {"mode": "every", "tokens": 5},
]


MIXES = (None, 0.5)


@pytest.fixture(scope="module")
def found(server: Server) -> Replies[tuple[int, float | None], dict[str, Any]]:
    """The replies to all cases, asked at once."""

    async def ask(gate: dict[str, Any], mix: float | None) -> dict[str, Any]:
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
        async with httpx.AsyncClient(base_url=server.base_url, timeout=240) as client:
            response = await client.post("/v1/chat/completions", json=body)
        assert response.status_code == 200, response.text
        return dict(response.json())

    return Replies(
        {
            (place, mix): partial(ask, GATES[place], mix)
            for place in range(len(GATES))
            for mix in MIXES
        }
    )


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("place", range(len(GATES)), ids=[str(gate["mode"]) for gate in GATES])
def test_thoughts_inside_an_answer_are_hidden_counted_and_bounded(
    found: Replies[tuple[int, float | None], dict[str, Any]], place: int, mix: float | None
) -> None:
    gate, reply = GATES[place], found[place, mix]
    (choice,) = reply["choices"]
    receipt, usage = choice["thinking"], reply["usage"]
    opening = 1 if gate.get("opening", True) else 0
    # An opening thought leaves tokens for at least one more.
    assert 1 + opening <= receipt["segments"] <= 3 + opening
    assert receipt["used"] <= 150
    if not opening:
        assert receipt["used"] <= 40 * receipt["segments"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == receipt["used"]
    assert choice["message"]["content"]
    # The markers, whole: this model also writes what only resembles them, as its own text.
    for marker in MARKERS:
        assert marker not in choice["message"]["content"] + choice["message"]["reasoning"]
