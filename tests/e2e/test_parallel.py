"""Several workers of one engine think the same as one: parallelism is vLLM's, passed through."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.process import Server, started_server

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1800)]

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
                f"{server.base_url}/v1/chat/completions", json=body, timeout=300
            ).raise_for_status()
            reply = response.json()
            choice = reply["choices"][0]
            choice["thinking"].pop("seconds")
            reply["usage"].pop("prompt_tokens_details")  # another engine has another cache
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


@pytest.fixture(scope="module")
def alone(cramped_server: Server) -> list[dict[str, Any]]:
    """The replies of one worker, one after the other: its small cache makes no difference."""
    found = replies(cramped_server)
    assert {reply["receipt"]["stop"] for reply in found} >= {"budget", "none"}
    return found


def test_two_workers_give_the_tokens_of_one(tmp_path: Path, alone: list[dict[str, Any]]) -> None:
    options = (*ARGUMENTS, "--tensor-parallel-size", "2")
    with started_server(tmp_path / "log.txt", options, own_threads=True) as server:
        server.wait_ready()
        assert len(server.children()) >= 3  # the core, and two that compute
        assert replies(server) == alone


def test_two_engines_share_the_requests_and_give_the_tokens_of_one(
    tmp_path: Path, alone: list[dict[str, Any]]
) -> None:
    options = (*ARGUMENTS, "--data-parallel-size", "2")
    with started_server(tmp_path / "log.txt", options, own_threads=True) as server:
        server.wait_ready()
        assert replies(server) == alone
        metrics = httpx.get(f"{server.base_url}/metrics", timeout=300).text
        written = re.findall(r"^vllm:generation_tokens_total\{.*\} (\S+)$", metrics, re.MULTILINE)
        assert len(written) == 2
        assert all(float(number) > 0 for number in written)
        total = sum(reply["usage"]["completion_tokens"] for reply in alone)
        assert sum(map(float, written)) == total
