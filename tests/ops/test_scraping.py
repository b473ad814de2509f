"""A real Prometheus scrapes the real server under load, and every query returns data.

Grafana does not run here; its queries are sent directly.
"""

import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.process import Server
from tests.ops import programs
from tests.ops.monitoring import Prometheus, prometheus, quick_rules, until
from tests.ops.observed import RULES, questions

pytestmark = pytest.mark.e2e
LOAD_SECONDS = 60.0


class Load:
    """A client that streams chats until it is stopped, at most 500."""

    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url}/v1/chat/completions"
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._chat_on, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the running chat and stop."""
        self._is_over.set()
        self._thread.join(LOAD_SECONDS)

    def _chat_on(self) -> None:
        with httpx.Client(timeout=LOAD_SECONDS) as client:
            for number in range(500):
                if self._is_over.is_set():
                    return
                body = {
                    "model": "smollm2-135m-instruct",
                    "messages": [{"role": "user", "content": f"Count to {number}."}],
                    "stream": True,
                    "max_thinking_tokens": 24,
                    "max_completion_tokens": 40,
                    "thinking_options": {"loop_guard": False},
                }
                with client.stream("POST", self._url, json=body) as response:
                    response.raise_for_status()
                    for _ in response.iter_lines():
                        pass


@pytest.fixture(scope="module")
def observed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes a busy server."""
    folder = tmp_path_factory.mktemp("prometheus")
    target = server.base_url.removeprefix("http://")
    rules = quick_rules(RULES.read_text(), folder)
    with prometheus(folder, target, rules=rules) as prom:
        load = Load(server.base_url)
        try:
            until(lambda: _has_numbers(prom), "there are rates")
            yield prom
        finally:
            load.stop()


def _has_numbers(prom: Prometheus) -> bool:
    """Return whether the slowest query, a rule over a rate, has data."""
    found = prom.query("job:thinking_exhausted_thoughts:ratio_rate30m")
    return bool(found) and found[0]["value"][1] != "NaN"


@pytest.mark.parametrize("query", questions())
def test_a_question_has_an_answer(observed: Prometheus, query: str) -> None:
    # A busy server may miss the second that a scrape has, and then a gauge is gone for as long.
    series = until(lambda: observed.query(query), f"an answer to {query}")
    if "histogram_quantile" in query and "queue" not in query:
        assert any(s["value"][1] != "NaN" for s in series), series


def test_small_budgets_run_out_and_that_fires(observed: Prometheus) -> None:
    name = "ThinkingBudgetExhaustion"
    until(lambda: name in observed.firing(), "budget exhaustion fires")
    # Two scrapes that a busy server misses fire these, for a moment.
    down = {"ThinkingServerDown", "ThinkingEngineDown"}
    until(lambda: not down & observed.firing(), "the server is up")


async def test_ours_pass_promtool_on_the_real_server(server: Server) -> None:
    lines = (await server.get_text("/metrics")).splitlines(keepends=True)
    # vLLM's names have a colon, which promtool keeps for recording rules.
    ours = "".join(line for line in lines if "vllm:" not in line)
    result = programs.run(["promtool", "check", "metrics"], given=ours)
    assert result.returncode == 0, result.stdout
