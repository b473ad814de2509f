"""Laws 5 and 6 and early exit, seen from the wire."""

from typing import Any

import pytest

from server.engine.scripted_model import RandomLogits
from tests.server.conftest import VOCAB_SIZE, Serve, wants
from thinking.markers.profile import MarkerProfile


async def get_thought(serve: Serve, wanted: str, **fields: Any) -> tuple[dict[str, Any], str]:
    """Return the receipt and the shown thought of a model that wants to write `wanted`."""
    served = serve(wants(wanted))
    response = await served.chat(include_reasoning=True, temperature=0, **fields)
    assert response.status_code == 200, response.text
    (choice,) = response.json()["choices"]
    return choice["thinking"], choice["message"]["reasoning"]


@pytest.mark.parametrize("minimum", [1, 20, 50])
async def test_a_thought_is_held_open_with_the_continuation(serve: Serve, minimum: int) -> None:
    receipt, thought = await get_thought(
        serve,
        "so</think>yes",
        max_thinking_tokens=50,
        min_thinking_tokens=minimum,
        thinking_options={"continuation": " Hold on,", "loop_guard": False},
    )
    assert minimum <= receipt["used"] <= 50
    assert ("Hold on," in thought) == (minimum > 3)


@pytest.mark.parametrize("minimum", [0, 10, 40])
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_use_lies_between_minimum_and_budget(
    serve: Serve, profile: MarkerProfile, minimum: int, seed: int
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE, seed), profile)
    reply = await served.chat(
        seed=seed, max_thinking_tokens=60, min_thinking_tokens=minimum, max_tokens=100
    )
    (choice,) = reply.json()["choices"]
    assert minimum <= choice["thinking"]["used"] <= 60
    assert choice["message"]["content"]


async def test_a_loop_is_broken_and_reported_unless_it_is_allowed(serve: Serve) -> None:
    loop = "ho ha " * 90
    fields = {"max_thinking_tokens": 300}
    receipt, _ = await get_thought(serve, loop, **fields)
    assert receipt["stop"] == "loop"
    assert receipt["used"] < 100
    receipt, _ = await get_thought(serve, loop, **fields, thinking_options={"loop_guard": False})
    assert receipt["stop"] != "loop"
    assert receipt["used"] > 100


async def test_a_minimum_beyond_what_a_limit_left_is_all_that_is_left(serve: Serve) -> None:
    receipt, _ = await get_thought(
        serve,
        "so</think>yes",
        max_thinking_tokens=80,
        min_thinking_tokens=70,
        max_tokens=40,
        thinking_options={"loop_guard": False},
    )
    assert receipt["limited_by"] == "max_completion_tokens"
    assert receipt["used"] == receipt["budget"] == 30
