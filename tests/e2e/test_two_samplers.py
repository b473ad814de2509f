"""Thoughts and answers sampled apart on the real engine: one greedy, the other hot."""

from typing import Any

import httpx
import pytest

from tests.e2e.shared import ThinkerServer

pytestmark = pytest.mark.e2e
QUESTION = "38-3+8+6-9-6+4+5*9 mod 100 ="
GREEDY: dict[str, Any] = {"sampling": {"temperature": 0}}
HOT: dict[str, Any] = {"sampling": {"temperature": 1.5}}
SEEDS = range(5)


async def ask(server: ThinkerServer, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first choice of each reply; one is asked after the other.

    What else is in a batch may decide between tokens that are equally likely.
    """
    asked = {
        "model": "thinker",
        "messages": [{"role": "user", "content": QUESTION}],
        "max_thinking_tokens": 200,
        "max_completion_tokens": 230,
        "top_p": 1.0,
        "include_reasoning": True,
    }
    choices: list[dict[str, Any]] = []
    async with httpx.AsyncClient(base_url=server.base_url, timeout=240) as client:
        for body in bodies:
            response = await client.post("/v1/chat/completions", json={**asked, **body})
            assert response.status_code == 200, response.text
            choices.append(response.json()["choices"][0])
    assert all(choice["thinking"]["used"] <= 200 for choice in choices)
    return choices


async def test_a_greedy_thought_is_the_same_under_all_seeds_of_a_hot_answer(
    thinker_server: ThinkerServer,
) -> None:
    greedy = {"temperature": 0}
    apart = [{"temperature": 1.5, "seed": seed, "thinking_options": GREEDY} for seed in SEEDS]
    reference, *choices = await ask(thinker_server, [greedy, *apart])
    thoughts = {choice["message"]["reasoning"] for choice in choices}
    # The thinker is certain of what it has written down, so its answers vary little; that they do
    # on a model that is not is in ``test_sampler.py``.
    assert thoughts == {reference["message"]["reasoning"]}


async def test_a_hot_thought_varies_and_equal_thoughts_have_one_greedy_answer(
    thinker_server: ThinkerServer,
) -> None:
    bodies = [{"temperature": 0, "seed": seed, "thinking_options": HOT} for seed in SEEDS]
    choices = [choice["message"] for choice in await ask(thinker_server, [*bodies, *bodies])]
    answers: dict[str, set[str]] = {}
    for message in choices:
        answers.setdefault(message["reasoning"], set()).add(message["content"])
    assert len(answers) > 1
    assert all(len(same) == 1 for same in answers.values())
    # A seed has one thought.
    assert choices[: len(SEEDS)] == choices[len(SEEDS) :]
