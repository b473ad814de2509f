"""Two real servers behind nginx with one Redis: a quota holds over both, even if one dies."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.process import Server, assert_can_start_again, assert_gone, started_server
from tests.ops.programs import free_port, program
from tests.ops.proxy import nginx
from tests.ops.test_quota_redis import redis_at
from tests.server.keys.conftest import ALICE, BOB, make_entry, to_bearer

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1800)]

NUM_THOUGHT = 1_600
BUDGET = 32
NUM_CLIENTS = 16
ANSWERED_BEFORE_THE_KILL = 15
QUOTA = {"quota.reasoning_tokens_per_day": str(NUM_THOUGHT), "reads_metrics": "true"}


@dataclass(frozen=True, slots=True)
class Replicas:
    """Two servers, and the URL of the proxy in front of them."""

    url: str
    servers: tuple[Server, Server]


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    folder: Path = tmp_path_factory.mktemp("replicas")
    for name in ("redis-server", "nginx"):
        program(name)  # skips the test before anything is started
    redis_port = free_port()
    keys = folder / "keys.toml"
    keys.write_text(make_entry("alice", ALICE, **QUOTA) + make_entry("bob", BOB))
    arguments = ["--model", "thinker", "--keys-file", str(keys), "--isolate-prefix-cache"]
    arguments += ["--quota-storage", f"redis://127.0.0.1:{redis_port}"]
    arguments += ["--quota-timeout-seconds", "10"]
    with ExitStack() as stack:
        stack.enter_context(redis_at(redis_port, folder / "redis.log"))
        one, other = (
            stack.enter_context(started_server(folder / f"server-{place}.txt", arguments))
            for place in range(2)
        )
        one.wait_ready()
        other.wait_ready()
        ports = [int(server.base_url.rpartition(":")[2]) for server in (one, other)]
        yield Replicas(stack.enter_context(nginx(ports, folder)), (one, other))


@dataclass
class Crowd:
    """Clients that send requests until the quota is used up, and the statuses they received."""

    http: httpx.AsyncClient
    statuses: Counter[int] = field(default_factory=Counter)
    num_thought: int = 0
    half_way: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask_until_refused(self) -> None:
        while await self.ask() != 429:
            pass

    async def ask(self) -> int:
        response = await self.http.post("/v1/chat/completions", json=body())
        self.statuses[response.status_code] += 1
        if response.status_code == 200:
            usage = response.json()["usage"]["completion_tokens_details"]
            self.num_thought += usage["reasoning_tokens"]
        if self.statuses[200] >= ANSWERED_BEFORE_THE_KILL:
            self.half_way.set()
        return response.status_code


def body() -> dict[str, Any]:
    question = {"role": "user", "content": "7 + 5 * 3 - 4 + 8 * 2 - 9"}
    return {
        "model": "thinker",
        "messages": [question],
        "max_thinking_tokens": BUDGET,
        "max_completion_tokens": 64,
    }


async def total(server: Server, series: str) -> float:
    """Return the sum of all series of `/metrics` whose line begins with `series`."""
    async with httpx.AsyncClient(
        base_url=server.base_url, headers=to_bearer(ALICE), timeout=60
    ) as http:
        text = (await http.get("/metrics")).raise_for_status().text
    lines = (line for line in text.splitlines() if line.startswith(series))
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def ask_as_bob(server: Server) -> None:
    """Ask the server itself, without a quota."""
    async with httpx.AsyncClient(
        base_url=server.base_url, headers=to_bearer(BOB), timeout=120
    ) as http:
        (await http.post("/v1/chat/completions", json=body())).raise_for_status()


async def num_answered(server: Server) -> float:
    chats = 'thinking_http_requests_total{endpoint="/v1/chat/completions",status="200"}'
    return await total(server, chats)


async def test_a_key_finds_nothing_of_anothers_prompts_in_the_cache(replicas: Replicas) -> None:
    server, _ = replicas.servers
    question = {"role": "user", "content": " + ".join("7531" * 30)}
    asked = body() | {"messages": [question], "max_thinking_tokens": 0, "max_completion_tokens": 4}
    hits = []
    for secret in (ALICE, ALICE, BOB):
        before = await total(server, "vllm:prefix_cache_hits_total")
        async with httpx.AsyncClient(
            base_url=server.base_url, headers=to_bearer(secret), timeout=60
        ) as http:
            (await http.post("/v1/chat/completions", json=asked)).raise_for_status()
        hits.append(await total(server, "vllm:prefix_cache_hits_total") - before)
    assert hits[0] == 0
    assert hits[1] > 0
    assert hits[2] == 0


async def test_a_quota_holds_over_both_though_one_dies(replicas: Replicas) -> None:
    one, other = replicas.servers
    began = datetime.now(UTC).date()
    for server in replicas.servers:  # the first request of an engine is slow
        await ask_as_bob(server)
    before = [await num_answered(server) for server in replicas.servers]
    async with httpx.AsyncClient(
        base_url=replicas.url, headers=to_bearer(ALICE), timeout=120
    ) as http:
        crowd = Crowd(http)
        clients = [asyncio.create_task(crowd.ask_until_refused()) for _ in range(NUM_CLIENTS)]
        await crowd.half_way.wait()
        # On a busy machine the other may have answered all of the first half.
        while await num_answered(one) <= before[0]:
            assert not all(client.done() for client in clients)
        children = one.children()
        one.process.kill()
        await asyncio.gather(*clients)
    assert await num_answered(other) > before[1]
    # A killed server cannot end its engine; the engine notices, and a supervisor may go on.
    assert_gone(children)
    assert_can_start_again(one)
    # Every request was answered: with a reply, a refusal, or a 503 for a server that was gone.
    assert set(crowd.statuses) <= {200, 429, 503}
    assert crowd.statuses[200] > ANSWERED_BEFORE_THE_KILL
    # A new day is a new quota.
    num_days = 1 + (datetime.now(UTC).date() - began).days
    assert crowd.num_thought <= NUM_THOUGHT * num_days
    # Requests in flight on the dead server stay reserved, at most one budget per client; what is
    # left at the end is less than one budget.
    assert crowd.num_thought > NUM_THOUGHT - BUDGET * (NUM_CLIENTS + 1)
