"""Several workers of one engine think the same as one: parallelism is vLLM's, passed through."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Server, started_server

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

QUESTIONS = ("7 + 5 * 3 - 4 + 8 * 2 - 9", "1 + 2 * 9", "3 - 8 * 7 + 6 + 5 * 5 - 1 * 2")
BUDGETS = (0, 8, 64)


def replies(server: Server) -> list[dict[str, Any]]:
    """Greedy ones, with their thoughts and what is the same of their receipts."""
    found = []
    for question in QUESTIONS:
        for budget in BUDGETS:
            body = {
                "model": "thinker",
                "messages": [{"role": "user", "content": question}],
                "temperature": 0,
                "max_thinking_tokens": budget,
                "max_completion_tokens": 128,
                "include_reasoning": True,
            }
            response = httpx.post(
                f"{server.base_url}/v1/chat/completions", json=body, timeout=60
            ).raise_for_status()
            reply = response.json()
            choice = reply["choices"][0]
            choice["thinking"].pop("seconds")
            found.append(
                {
                    "message": choice["message"],
                    "receipt": choice["thinking"],
                    "usage": reply["usage"],
                }
            )
    return found


# Two workers add up in another order: in bfloat16 that decides ties.
ARGUMENTS = ("--model", "thinker", "--dtype", "float32")


def test_two_workers_give_the_tokens_of_one(tmp_path: Path) -> None:
    with started_server(tmp_path / "one.txt", ARGUMENTS) as server:
        server.wait_ready()
        alone = replies(server)
    assert {reply["receipt"]["stop"] for reply in alone} >= {"budget", "none"}
    options = (*ARGUMENTS, "--tensor-parallel-size", "2")
    with started_server(tmp_path / "two.txt", options) as server:
        server.wait_ready()
        assert len(server.children()) >= 3  # the core, and two that compute
        assert replies(server) == alone
