"""Two real engines behind nginx, a front end of two processes, and engines that are killed.

Greedy and in float32, so that a reply that goes on elsewhere can be compared with one that was not
disturbed.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.engines import started_engine
from tests.e2e.process import Server, free_port, started_server
from tests.ops.programs import program
from tests.ops.proxy import OF_ENGINES, nginx
from tests.ops.test_quota_redis import redis_at

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1800)]

NUM_STREAMS = 64
NUM_OF_EACH = 20  # more than one engine has of a kind, so that both have some
PROCESSES_SECONDS = 600.0
# Long thoughts and short answers, and the reverse: an answer without an end (token 1).
THOUGHT = {"max_thinking_tokens": 240, "min_thinking_tokens": 200, "max_completion_tokens": 400}
ANSWER = {"max_thinking_tokens": 24, "logit_bias": {"1": -100}, "max_completion_tokens": 320}


@dataclass
class Fleet:
    """The front end, and its engines, of which a test may kill some."""

    front: Server
    engines: list[Server]
    folder: Path
    stack: ExitStack

    def restart(self, place: int) -> None:
        """Start a killed engine again, at its port."""
        port = int(self.engines[place].base_url.rpartition(":")[2])
        path = self.folder / f"engine-{place}-again.txt"
        self.engines[place] = self.stack.enter_context(started_engine(path, port=port))

    def kill(self, place: int) -> None:
        """End an engine by signal 9, with its core, as a machine that is lost."""
        children = self.engines[place].children()
        self.engines[place].process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):  # it ends by itself when its parent is gone
                child.kill()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    for name in ("redis-server", "nginx"):
        program(name)  # skips the tests before anything is started
    folder = tmp_path_factory.mktemp("fleet")
    with ExitStack() as stack:
        engines = [
            stack.enter_context(started_engine(folder / f"engine-{place}.txt"))
            for place in range(2)
        ]
        for engine in engines:
            engine.wait_ready()
        ports = [int(engine.base_url.rpartition(":")[2]) for engine in engines]
        router = stack.enter_context(nginx(ports, folder, OF_ENGINES))
        redis_port = free_port()
        stack.enter_context(redis_at(redis_port, folder / "redis.log"))
        arguments = ["--model", "thinker", "--engine-url", router, "--engine-wait-seconds", "20"]
        arguments += ["--api-processes", "2", "--response-store-max-responses", "0"]
        arguments += ["--quota-storage", f"redis://127.0.0.1:{redis_port}"]
        front = stack.enter_context(started_server(folder / "front.txt", arguments))
        front.wait_ready()
        wait_for_all_processes(front)
        yield Fleet(front, engines, folder, stack)


def wait_for_all_processes(front: Server) -> None:
    """Return when each API process has found the engines, which it does by itself.

    The kernel hands each new connection to one of them.
    """

    def is_ready() -> bool:
        try:
            return httpx.get(f"{front.base_url}/health", timeout=30).status_code == 200
        except httpx.TransportError:
            return False

    until = time.monotonic() + PROCESSES_SECONDS
    while not all(is_ready() for _ in range(16)):
        assert time.monotonic() < until, front.log()
        time.sleep(0.2)


@dataclass
class Reply:
    """A streamed reply, and how far it is."""

    content: str = ""
    reasoning: str = ""
    receipt: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)
    finish_reason: str | None = None
    error: dict[str, Any] | None = None
    has_ended: bool = False

    def push(self, chunk: dict[str, Any]) -> None:
        self.error = chunk.get("error") or self.error
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk.get("choices", ()):
            self.content += choice["delta"].get("content") or ""
            self.reasoning += choice["delta"].get("reasoning") or ""
            self.receipt = choice.get("thinking") or self.receipt
            self.finish_reason = choice["finish_reason"] or self.finish_reason


def make_body(place: int) -> dict[str, Any]:
    question = f"{place}+{place * 7 % 50}-{place % 9}+{place % 4}*3 mod 100 ="
    return {
        "model": "thinker",
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "include_reasoning": True,
        # In pairs: a router that goes round two engines gives each engine both kinds.
        **(THOUGHT if place % 4 < 2 else ANSWER),
    }


async def read(http: httpx.AsyncClient, body: dict[str, Any], reply: Reply) -> None:
    async with http.stream("POST", "/v1/chat/completions", json=body) as response:
        if response.status_code == 503:
            reply.error = json.loads(await response.aread())["error"]
            return
        assert response.status_code == 200, await response.aread()
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                reply.push(json.loads(line.removeprefix("data: ")))
    reply.has_ended = True


async def ask_all(
    fleet: Fleet, disturb: Callable[[Sequence[Reply]], None] | None = None
) -> Sequence[Reply]:
    """Ask for all replies at once; `disturb` is called when enough of each kind are under way."""
    replies = [Reply() for _ in range(NUM_STREAMS)]
    async with httpx.AsyncClient(base_url=fleet.front.base_url, timeout=300) as http:
        tasks = [
            asyncio.create_task(read(http, make_body(place), reply))
            for place, reply in enumerate(replies)
        ]
        while disturb is not None and not all(task.done() for task in tasks):
            running = [reply for reply in replies if is_on_its_way(reply)]
            num_answering = sum(bool(reply.content) for reply in running)
            if min(num_answering, len(running) - num_answering) >= NUM_OF_EACH:
                disturb(replies)
                break
            await asyncio.sleep(0.01)
        await asyncio.gather(*tasks)
    return replies


def is_on_its_way(reply: Reply) -> bool:
    return not reply.has_ended and len(reply.content) + len(reply.reasoning) > 60


def check_laws(replies: Sequence[Reply], undisturbed: Sequence[Reply]) -> None:
    """Every reply has ended well: text, counts and stop cause of one that was not disturbed."""
    for reply, other in zip(replies, undisturbed, strict=True):
        assert reply.error is None
        assert reply.content == other.content
        assert reply.reasoning == other.reasoning
        assert reply.finish_reason == other.finish_reason
        for name in ("budget", "used", "injected", "segments", "stop"):
            assert reply.receipt[name] == other.receipt[name]
        assert reply.receipt["used"] <= reply.receipt["budget"]
        assert reply.usage["completion_tokens"] == other.usage["completion_tokens"]


async def test_replies_outlive_an_engine_that_is_killed(fleet: Fleet) -> None:
    undisturbed = await ask_all(fleet)
    assert [reply.error for reply in undisturbed if reply.error] == []
    assert not any("migrations" in reply.receipt for reply in undisturbed)
    in_thoughts: list[Reply] = []
    in_answers: list[Reply] = []

    def kill_one(replies: Sequence[Reply]) -> None:
        running = [reply for reply in replies if is_on_its_way(reply)]
        in_answers.extend(reply for reply in running if reply.content)
        in_thoughts.extend(reply for reply in running if not reply.content)
        fleet.kill(0)

    replies = await ask_all(fleet, kill_one)
    assert in_thoughts
    assert in_answers
    check_laws(replies, undisturbed)
    assert sum("migrations" in reply.receipt for reply in replies) >= NUM_STREAMS // 8
    assert any(reply.receipt.get("migrations") for reply in in_thoughts)
    assert any(reply.receipt.get("migrations") for reply in in_answers)


async def test_without_engines_errors_are_clear_until_one_comes_back(fleet: Fleet) -> None:
    before = await ask_until_answered(fleet, 3)

    def kill_the_other(_: Sequence[Reply]) -> None:
        fleet.kill(1)

    replies = await ask_all(fleet, kill_the_other)
    failed = [reply for reply in replies if reply.error is not None]
    assert failed
    for reply in failed:
        assert reply.error is not None
        assert reply.error["code"] in ("no_engine_ready", "engine_lost")
    async with httpx.AsyncClient(base_url=fleet.front.base_url, timeout=60) as http:
        health = await http.get("/health")
        assert health.status_code == 503
        assert "no engine is ready" in health.json()["error"]["message"]
        refused = await http.post("/v1/chat/completions", json=make_body(1))
        assert refused.status_code == 503
        assert "127.0.0.1" not in health.text + refused.text
    fleet.restart(0)
    fleet.engines[0].wait_ready()
    check_laws([await ask_until_answered(fleet, 3)], [before])


async def ask_until_answered(fleet: Fleet, place: int) -> Reply:
    """Ask again while it is 503, as a client does: each process finds the engine by itself."""
    async with httpx.AsyncClient(base_url=fleet.front.base_url, timeout=120) as http:
        while True:
            reply = Reply()
            await read(http, make_body(place), reply)
            if reply.error is None:
                return reply
            await asyncio.sleep(0.5)
