"""What cannot be searched is refused by name; what fails says what was spent."""

from typing import Any

import pytest

from tests.server.conftest import Serve, wants
from tests.server.generation.search.conftest import StartScorer

STRATEGY = "thinking_options.strategy"
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"strategy": "best"}, f"{STRATEGY}.name", "best_of"),
    ({"strategy": {"n": 3}}, f"{STRATEGY}.name", "required"),
    ({"strategy": {"name": "best_of", "n": 1}}, f"{STRATEGY}.n", "greater than or equal to 2"),
    ({"strategy": {"name": "best_of", "n": 65}}, f"{STRATEGY}.n", "less than or equal to 64"),
    ({"strategy": {"name": "best_of", "num": 2}}, f"{STRATEGY}.num", "unknown field"),
    ({"strategy": {"name": "best_of", "width": 2}}, f"{STRATEGY}.width", "n, answer_tokens"),
    ({"strategy": {"name": "mcts", "n": 2}}, f"{STRATEGY}.n", "iterations"),
    ({"strategy": {"name": "beam", "extract": "text"}}, f"{STRATEGY}.extract", "no field of"),
    ({"strategy": "reward"}, STRATEGY, "--scorer-url"),
    ({"strategy": "beam"}, STRATEGY, "confidence"),
    ({"strategy": "best_of", "gate": {"mode": "every", "tokens": 4}}, STRATEGY, "contradict"),
]


@pytest.mark.parametrize(("options", "param", "said"), BAD)
async def test_a_search_that_cannot_be_is_a_400_that_names_the_field(
    serve: Serve, options: dict[str, Any], param: str, said: str
) -> None:
    served = serve()
    response = await served.chat(max_thinking_tokens=200, thinking_options=options)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["param"] == param
    assert said in error["message"]
    assert served.engine.num_generated == 0


async def test_equal_branches_are_refused(serve: Serve) -> None:
    response = await serve().chat(
        max_thinking_tokens=200, temperature=0, thinking_options={"strategy": "best_of"}
    )
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "temperature"


async def test_no_budget_is_no_search(serve: Serve) -> None:
    response = await serve().chat(
        max_thinking_tokens=0, thinking_options={"strategy": "self_consistency"}
    )
    assert response.status_code == 400
    assert "at least" in response.json()["error"]["message"]


@pytest.mark.parametrize("name", ["reward", "beam", "mcts"])
async def test_an_unreachable_reward_model_is_a_503_that_says_what_was_spent(
    serve: Serve, name: str
) -> None:
    served = serve(wants("a\nb\nc\n</think>7"), scorer_url="http://127.0.0.1:9", scorer_api="http")
    fields: dict[str, Any] = {"max_thinking_tokens": 200, "thinking_options": {"strategy": name}}
    response = await served.chat(**fields)
    assert response.status_code == 503
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("scorer_unavailable", STRATEGY)
    assert repr(name) in error["message"]
    assert f"{served.engine.num_generated} reasoning tokens" in error["message"]
    assert "127.0.0.1" not in error["message"]
    metrics = (await served.http.get("/metrics")).text
    assert f"thinking_reasoning_tokens_total {float(served.engine.num_generated)}" in metrics
    streamed = await served.chat(**fields, stream=True)
    assert streamed.status_code == 200
    assert "scorer_unavailable" in streamed.text
    assert "[DONE]" not in streamed.text
    assert served.engine.num_running == 0


@pytest.mark.parametrize("scores", [None, "high", float("1e999"), [1, 2]])
async def test_a_reward_model_that_talks_nonsense_is_a_503(
    serve: Serve, start_scorer: StartScorer, scores: Any
) -> None:
    scorer = await start_scorer(lambda candidate: scores)
    served = serve(scorer_url=scorer.url, scorer_api="http")
    response = await served.chat(max_thinking_tokens=200, thinking_options={"strategy": "reward"})
    assert response.status_code == 503


async def test_a_client_that_leaves_ends_all_branches(serve: Serve) -> None:
    served = serve()
    body = {
        "model": "scripted",
        "messages": [{"role": "user", "content": "?"}],
        "max_thinking_tokens": 400,
        "thinking_options": {"strategy": {"name": "best_of", "n": 8}},
        "stream": True,
    }
    async with served.http.stream("POST", "/v1/chat/completions", json=body) as response:
        async for _ in response.aiter_lines():
            break
    assert served.engine.num_running == 0


async def test_a_dead_engine_is_said_to_be_dead(serve: Serve) -> None:
    served = serve()
    served.engine.kill()
    response = await served.chat(max_thinking_tokens=200, thinking_options={"strategy": "best_of"})
    assert response.status_code == 503
