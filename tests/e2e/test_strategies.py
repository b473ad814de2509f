"""Search over thoughts on the real engine, judged by a real pooling server."""

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import httpx
import pytest

from server.hub.model_resolution import resolve_model
from tests.e2e.shared import ThinkerServer
from thinker.chain import QUESTIONS, make_random_chain
from thinker.vocabulary import ASSISTANT, END, START, TURN_END, USER, load_tokenizer

pytestmark = pytest.mark.e2e
BUDGET = 500
STRATEGIES: list[dict[str, Any]] = [
    {"name": "best_of", "n": 4},
    {"name": "self_consistency", "n": 5},
    {"name": "reward", "n": 4},
    {"name": "beam", "width": 2, "expand": 3, "step_tokens": 12},
    {"name": "beam", "expand": 2, "step_tokens": 12, "score_by": "confidence"},
    {"name": "mcts", "expand": 3, "step_tokens": 12},
]
QUESTION = "38-3+8+6-9-6+4+5*9 mod 100 ="


def body(question: str, strategy: dict[str, Any] | None, **fields: Any) -> dict[str, Any]:
    options = {} if strategy is None else {"thinking_options": {"strategy": strategy}}
    return {
        "model": "thinker",
        "messages": [{"role": "user", "content": question}],
        "max_thinking_tokens": BUDGET,
        "temperature": 1.0,
        **options,
        **fields,
    }


def client_of(server: ThinkerServer) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.base_url, timeout=240)


async def choice_of(client: httpx.AsyncClient, asked: dict[str, Any]) -> dict[str, Any]:
    response = await client.post("/v1/chat/completions", json=asked)
    assert response.status_code == 200, response.text
    reply = response.json()
    (choice,) = reply["choices"]
    used = reply["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert used == choice["thinking"]["used"] <= asked["max_thinking_tokens"]
    assert choice["message"]["content"]
    return dict(choice)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: "-".join(map(str, s.values())))
async def test_a_search_answers_within_the_one_budget(
    thinker_server: ThinkerServer, strategy: dict[str, Any]
) -> None:
    async with client_of(thinker_server) as client:
        choice = await choice_of(client, body(QUESTION, strategy, seed=5, include_reasoning=True))
    receipt = choice["thinking"]
    assert receipt["strategy"] == strategy["name"]
    assert receipt["branches"] >= 3
    # More than one thought has been paid for, and one of them is shown.
    shown = choice["message"]["reasoning"]
    assert 0 < len(re.findall(r"\w+|\W", shown)) < receipt["used"]
    assert "thought|>" not in shown + choice["message"]["content"]


async def scores_of(server: ThinkerServer, replies: Sequence[tuple[str, str, str]]) -> list[float]:
    """What the reward model says of (question, thought, answer)."""
    tokenizer = load_tokenizer(Path(resolve_model("thinker").path_or_hub_id))
    texts = [f"{USER}{q}{TURN_END}{ASSISTANT}{START}{t}{END}{a}" for q, t, a in replies]
    inputs = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    async with httpx.AsyncClient(base_url=server.scorer.base_url, timeout=60) as client:
        response = await client.post("/classify", json={"input": inputs})
    return [entry["probs"][-1] for entry in response.raise_for_status().json()["data"]]


async def test_the_reward_model_likes_what_it_has_chosen(thinker_server: ThinkerServer) -> None:
    rng = Random("reward")
    chains = [make_random_chain(rng, 100, rng.randint(6, 12)) for _ in range(24)]
    asked = ["".join(rng.choice(QUESTIONS)(chain)) for chain in chains]
    means = {}
    async with client_of(thinker_server) as client:
        for name, strategy in (("single", None), ("reward", {"name": "reward", "n": 6})):
            fields = {"temperature": 1.3, "include_reasoning": True, "max_thinking_tokens": 700}
            bodies = [body(q, strategy, seed=i, **fields) for i, q in enumerate(asked)]
            choices = await asyncio.gather(*(choice_of(client, b) for b in bodies))
            messages = [choice["message"] for choice in choices]
            replies = [
                (question, message["reasoning"], message["content"])
                for question, message in zip(asked, messages, strict=True)
            ]
            means[name] = fmean(await scores_of(thinker_server, replies))
    assert means["reward"] > means["single"] + 0.02, means


async def test_a_confident_beam_finds_what_one_thought_misses(
    thinker_server: ThinkerServer,
) -> None:
    rng = Random("beam")
    chains = [make_random_chain(rng, 100, rng.randint(6, 12)) for _ in range(40)]
    asked = [("".join(rng.choice(QUESTIONS)(chain)), str(chain.result)) for chain in chains]
    rights = {}
    beam = {"name": "beam", "width": 1, "expand": 4, "step_tokens": 12, "score_by": "confidence"}
    async with client_of(thinker_server) as client:
        for name, strategy in (("single", None), ("beam", beam)):
            fields = {"temperature": 1.3, "max_thinking_tokens": 700}
            bodies = [body(q, strategy, seed=i, **fields) for i, (q, _) in enumerate(asked)]
            choices = await asyncio.gather(*(choice_of(client, b) for b in bodies))
            answers = [choice["message"]["content"].strip() for choice in choices]
            rights[name] = sum(a == right for a, (_, right) in zip(answers, asked, strict=True))
    assert rights["beam"] >= rights["single"] + 6, rights


async def test_branches_share_their_prefix_in_the_engines_cache(
    thinker_server: ThinkerServer,
) -> None:
    async def cached() -> float:
        metrics = await thinker_server.get_text("/metrics")
        (line,) = re.findall(r"^vllm:prefix_cache_hits_total\{.*\} (\S+)$", metrics, re.M)
        return float(line)

    before = await cached()
    strategy = {
        "name": "beam",
        "width": 2,
        "expand": 3,
        "step_tokens": 12,
        "score_by": "confidence",
    }
    async with client_of(thinker_server) as client:
        choice = await choice_of(client, body(QUESTION, strategy, seed=3))
    assert await cached() - before > choice["thinking"]["used"]


@pytest.mark.parametrize("strategy", [STRATEGIES[0], STRATEGIES[3], STRATEGIES[4]])
async def test_a_searched_answer_keeps_to_its_constraint(
    thinker_server: ThinkerServer, strategy: dict[str, Any]
) -> None:
    constraint = {"regex": "= [0-9]{2}!"}
    async with client_of(thinker_server) as client:
        asked = body(QUESTION, strategy, seed=2, structured_outputs=constraint)
        choice = await choice_of(client, asked)
    assert re.fullmatch("= [0-9]{2}!", choice["message"]["content"])


async def test_seeded_prompts_that_are_read_in_parts_do_not_kill_the_engine(
    thinker_server: ThinkerServer,
) -> None:
    """Together they are longer than what one step of the engine reads."""
    question = QUESTION * 8
    async with client_of(thinker_server) as client:
        bodies = [body(f"{i} {question}", None, seed=i, max_thinking_tokens=20) for i in range(40)]
        choices = await asyncio.gather(*(choice_of(client, asked) for asked in bodies))
    assert len(choices) == 40


@pytest.mark.parametrize(("kind", "used"), [("pause", 18), ("text", 18)])
async def test_pauses_cost_what_they_are_given(
    thinker_server: ThinkerServer, kind: str, used: int
) -> None:
    asked = body(QUESTION, None, thinking_options={"kind": kind}, max_thinking_tokens=18)
    async with client_of(thinker_server) as client:
        choice = await choice_of(client, asked)
    assert choice["thinking"]["used"] == used
    assert (choice["thinking"]["injected"] == used) == (kind == "pause")
