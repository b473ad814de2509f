"""Thoughts that are not sampled: pauses, and implicit thoughts."""

from dataclasses import replace
from typing import Any

import pytest

from tests.server.conftest import PROFILES, Serve, ids, make_profile
from thinking.kind import ThoughtKind, make_filler_plan
from thinking.markers.profile import MarkerProfile
from thinking.plan import MAX_SCRIPT_TOKENS

PAUSE = ids(".")
IMPLICIT = ids("@")


def with_fillers(profile: MarkerProfile) -> MarkerProfile:
    return replace(profile, pause_token_ids=PAUSE, implicit_token_ids=IMPLICIT)


async def get_choice(serve: Serve, profile: MarkerProfile, **fields: Any) -> dict[str, Any]:
    response = await serve(profile=with_fillers(profile)).chat(**fields, include_reasoning=True)
    assert response.status_code == 200, response.text
    reply: dict[str, Any] = response.json()["choices"][0]
    return reply


@pytest.mark.parametrize("budget", [0, 1, 3, 20, 90, 200])
async def test_pauses_fill_the_budget_and_never_exceed_it(
    serve: Serve, profile: MarkerProfile, budget: int
) -> None:
    choice = await get_choice(
        serve, profile, max_thinking_tokens=budget, thinking_options={"kind": "pause"}
    )
    receipt = choice["thinking"]
    around = replace(profile, primer_token_ids=()).closed_thought_token_ids
    num_pauses = max(0, budget - len(around))
    assert receipt["used"] == (budget if num_pauses else 0)
    assert receipt["used"] - receipt["injected"] == 0
    assert choice["message"]["reasoning"] == "." * num_pauses
    assert choice["message"]["content"]


async def test_an_implicit_thought_is_one_token(serve: Serve, profile: MarkerProfile) -> None:
    choice = await get_choice(
        serve, profile, max_thinking_tokens=100, thinking_options={"kind": "implicit"}
    )
    around = replace(profile, primer_token_ids=()).closed_thought_token_ids
    assert choice["thinking"]["used"] == len(around) + 1
    assert choice["message"]["reasoning"] == "@"
    assert choice["message"]["content"]


async def test_a_model_without_implicit_thoughts_says_so(serve: Serve) -> None:
    response = await serve().chat(thinking_options={"kind": "implicit"})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "thinking_options.kind"


@pytest.mark.parametrize(
    "options",
    [
        {"wrap_up": "so"},
        {"early_exit": 0.5},
        {"loop_guard": False},
        {"grace": 4},
        {"gate": {"mode": "every", "tokens": 3}},
        {"strategy": "best_of"},
    ],
)
async def test_what_is_about_written_thoughts_contradicts_unwritten_ones(
    serve: Serve, options: dict[str, Any]
) -> None:
    response = await serve().chat(thinking_options={"kind": "pause", **options})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == f"thinking_options.{next(iter(options))}"


async def test_a_minimum_contradicts_pauses(serve: Serve) -> None:
    response = await serve().chat(min_thinking_tokens=5, thinking_options={"kind": "pause"})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "min_thinking_tokens"


def test_pauses_are_at_most_what_a_script_holds() -> None:
    for profile in (*PROFILES.values(), make_profile("<think>", "</think>")):
        plan = make_filler_plan(with_fillers(profile), 100_000, ThoughtKind.PAUSE)
        assert len(plan.script) == plan.budget <= MAX_SCRIPT_TOKENS
        plan.check()
