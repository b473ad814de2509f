"""Several workers of one engine think the same as one: parallelism is vLLM's, passed through."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Server, ThinkerServer, started_server

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


@pytest.mark.parametrize(
    "options", [("--tensor-parallel-size", "2"), ("--pipeline-parallel-size", "2")]
)
def test_two_workers_give_the_tokens_of_one(
    thinker_server: ThinkerServer, tmp_path: Path, options: Sequence[str]
) -> None:
    alone = replies(thinker_server)
    assert {reply["receipt"]["stop"] for reply in alone} >= {"budget", "none"}
    with started_server(tmp_path / "log.txt", ["--model", "thinker", *options]) as server:
        server.wait_ready()
        assert len(server.children()) >= 3  # the core, and two that compute
        assert replies(server) == alone
