"""Law 7 seen from the wire, on the scripted engine."""

from typing import Any

import pytest

from server.engine.scripted_model import RandomLogits
from tests.server.conftest import VOCAB_SIZE, Serve, wants
from thinking.markers.profile import MarkerProfile

WORDS = "one two three four five six seven eight nine ten eleven twelve"
EVERY = {"mode": "every", "tokens": 4, "opening": False}


async def get_choice(
    serve: Serve, profile: MarkerProfile, text: str = WORDS, **fields: Any
) -> dict[str, Any]:
    served = serve(wants(text), profile)
    response = await served.chat(temperature=0, include_reasoning=True, **fields)
    assert response.status_code == 200, response.text
    (choice,) = response.json()["choices"]
    assert isinstance(choice, dict)
    return choice


async def test_thoughts_inside_the_answer_are_taken_out_of_it(
    serve: Serve, profile: MarkerProfile
) -> None:
    options = {"gate": EVERY, "max_segments": 3, "segment_tokens": 20}
    choice = await get_choice(serve, profile, max_thinking_tokens=200, thinking_options=options)
    receipt = choice["thinking"]
    assert 1 <= receipt["segments"] <= 3
    assert receipt["segments"] < receipt["used"] <= 20 * receipt["segments"]
    shown = choice["message"]["content"]
    assert "think" not in shown
    assert "<" not in shown


async def test_without_an_opening_thought_a_reply_starts_with_the_answer(
    serve: Serve, profile: MarkerProfile
) -> None:
    served = serve(wants(WORDS), profile)
    options = {"gate": {"mode": "entropy", "threshold": 20.0, "opening": False}}
    reply = await served.chat(max_thinking_tokens=100, thinking_options=options, temperature=0)
    plain = await served.chat(max_thinking_tokens=0, temperature=0)
    (choice,), (without,) = reply.json()["choices"], plain.json()["choices"]
    assert choice["thinking"]["used"] == 0
    assert choice["thinking"]["stop"] == "none"
    assert choice["message"]["content"] == without["message"]["content"]


@pytest.mark.parametrize(("share", "most"), [(None, 40), (0.25, 60), (0.0, 80)])
async def test_an_opening_thought_leaves_the_gate_its_share(
    serve: Serve, profile: MarkerProfile, share: float | None, most: int
) -> None:
    """Law 13, with a model that never ends its opening thought by itself."""
    gate = {**EVERY, "opening": True} | ({} if share is None else {"share": share})
    alone = {"gate": {**gate, "mode": "entropy", "threshold": 20.0, "tokens": None}}
    options = {"gate": gate, "segment_tokens": 40, "grace": 0}
    fields: dict[str, Any] = {
        "text": 3 * WORDS,
        "max_thinking_tokens": 80,
        "max_completion_tokens": 140,
    }
    opening = await get_choice(serve, profile, thinking_options=alone | {"grace": 0}, **fields)
    choice = await get_choice(serve, profile, thinking_options=options, **fields)
    # With long markers, one segment takes more than a small share.
    assert most - 12 < opening["thinking"]["used"] <= most
    assert opening["thinking"]["segments"] == 1
    assert (choice["thinking"]["segments"] >= 2) == (share != 0.0)
    assert opening["thinking"]["used"] <= choice["thinking"]["used"] <= 80


async def test_shown_thoughts_are_set_apart(serve: Serve, profile: MarkerProfile) -> None:
    options = {"gate": EVERY, "max_segments": 2, "segment_tokens": 30, "loop_guard": False}
    choice = await get_choice(serve, profile, max_thinking_tokens=200, thinking_options=options)
    thoughts = choice["message"]["reasoning"]
    assert choice["thinking"]["segments"] == 2
    assert "\n\n" in thoughts.strip()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "gate",
    [
        {"mode": "entropy", "threshold": 1.0},
        {"mode": "every", "tokens": 3, "opening": False},
        {"mode": "after", "strings": ["e", " "], "gap": 2},
    ],
)
async def test_the_budget_holds_over_all_thoughts_together(
    serve: Serve, profile: MarkerProfile, gate: dict[str, Any], seed: int
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE, seed), profile)
    options = {"gate": gate, "segment_tokens": 24, "mix": 0.5}
    reply = await served.chat(
        max_thinking_tokens=70, max_tokens=120, seed=seed, thinking_options=options
    )
    body = reply.json()
    (choice,) = body["choices"]
    details = body["usage"]["completion_tokens_details"]
    assert details["reasoning_tokens"] == choice["thinking"]["used"] <= 70
    assert body["usage"]["completion_tokens"] <= 120
    assert choice["message"]["content"]
