"""Ray Serve with two real replicas: streams, hang-ups, a death, a rolling upgrade under load."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil
import pytest
from openai import AsyncOpenAI

from tests.ops.ray_cluster import (
    HEALTH_CHECK_SECONDS,
    NUM_REPLICAS,
    Cluster,
    running_cluster,
)

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1800)]

CHAT = "/v1/chat/completions"
READY_SECONDS = 900.0  # two engines load side by side, on a machine that may run other tests
UPGRADE_SECONDS = 700.0  # the engines load one after the other, beside clients that go on asking
OLD, NEW = "before", "after"
MAX_STREAMS = 32
NUM_CLIENTS = 4
PAUSE_SECONDS = 2.0  # of each client: the engines that start beside them need the cores too
LONG = 300  # tokens: seconds
LONGEST = 600
SHORT = 32

Task = asyncio.Task[None]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        running.deploy(OLD)
        asyncio.run(wait_ready(running))
        yield running


def body(budget: int, **changes: Any) -> dict[str, Any]:
    """Return a request whose thought is `budget` tokens long: only the budget ends it."""
    question = {"role": "user", "content": "7 + 5 * 3 - 4 + 8 * 2 - 9"}
    return {
        "model": "thinker",
        "messages": [question],
        "max_thinking_tokens": budget,
        "min_thinking_tokens": budget,
        "thinking_options": {"loop_guard": False, "grace": 0},
        "max_completion_tokens": budget + budget // 2,  # a quarter is kept for the answer
        "temperature": 0,
        **changes,
    }


@asynccontextmanager
async def client_of(cluster: Cluster) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=cluster.url, timeout=120) as http:
        yield http


async def read_pages(http: httpx.AsyncClient) -> dict[str, dict[str, float]]:
    """Return the metrics of each replica that answered one of a few requests, by its start."""
    pages = await asyncio.gather(*(http.get("/metrics") for _ in range(4 * NUM_REPLICAS)))
    found = {}
    for page in pages:
        lines = [line for line in page.text.splitlines() if line and not line.startswith("#")]
        values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
        found[str(values.get("process_start_time_seconds"))] = values
    return found


async def wait_ready(cluster: Cluster) -> None:
    """Return when as many replicas answer as there should be."""
    until = time.monotonic() + READY_SECONDS
    async with client_of(cluster) as http:
        while time.monotonic() < until:
            try:
                is_ready = (await http.get("/health")).status_code == 200
                if is_ready and len(await read_pages(http)) >= NUM_REPLICAS:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.5)
    pytest.fail(f"not {NUM_REPLICAS} replicas after {READY_SECONDS:g} s\n{cluster.read_logs()}")


def sum_of(pages: dict[str, dict[str, float]], beginning: str) -> float:
    return sum(v for page in pages.values() for k, v in page.items() if k.startswith(beginning))


def select_causes(page: dict[str, float]) -> dict[str, float]:
    """Return what tells of ended requests."""
    told = ("thinking_stops_total", "thinking_clients_left_total", "thinking_http_requests_total")
    return {name: value for name, value in page.items() if name.startswith(told)}


@dataclass
class Stream:
    """A streamed reply as its client sees it."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    events: list[dict[str, Any]] = field(default_factory=list)
    num_comments: int = 0
    is_complete: bool = False

    async def read(self, http: httpx.AsyncClient, asked: dict[str, Any]) -> None:
        """Read to the end, or to the error that the connection ends with."""
        try:
            async with http.stream("POST", CHAT, json=asked | {"stream": True}) as response:
                self.begun.set()
                async for line in response.aiter_lines():
                    self.is_complete = line == "data: [DONE]"
                    self.num_comments += line.startswith(":")
                    if line.startswith("data: {"):
                        self.events.append(json.loads(line.removeprefix("data: ")))
                    if self.is_complete:
                        return
        except httpx.TransportError:
            pass
        finally:
            self.begun.set()

    @property
    def receipt(self) -> dict[str, Any]:
        """The receipt of a complete reply."""
        choices = [event["choices"][0] for event in self.events if event.get("choices")]
        (receipt,) = (choice["thinking"] for choice in choices if choice.get("thinking"))
        assert isinstance(receipt, dict)
        return receipt


async def test_a_reply_passes_through_as_the_server_wrote_it(cluster: Cluster) -> None:
    async with client_of(cluster) as http:
        reply = (await http.post(CHAT, json=body(SHORT))).raise_for_status()
        stream = Stream()
        await stream.read(http, body(LONG))
        refused = await http.post(CHAT, json={"modle": "thinker"})
    assert reply.json()["choices"][0]["thinking"]["used"] == SHORT
    assert reply.json()["model"] == OLD
    assert len(reply.headers.get_list("x-request-id")) == 1
    assert stream.is_complete
    assert stream.receipt["used"] == LONG
    assert len(stream.events) > 2
    assert stream.num_comments > 2  # while the thought is silent
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "modle"


async def test_a_web_socket_passes_through(cluster: Cluster) -> None:
    client = AsyncOpenAI(api_key="none", base_url=f"{cluster.url}/v1")
    async with client, client.responses.connect() as connection:
        await connection.response.create(model="thinker", input="7 + 5", max_output_tokens=24)
        async for event in connection:
            if event.type in ("response.completed", "response.incomplete", "error"):
                last: dict[str, Any] = event.to_dict(mode="json")
                break
    assert last["type"] != "error", last
    assert 0 < last["response"]["usage"]["output_tokens"] <= 24


async def test_who_hangs_up_stops_the_engine(cluster: Cluster) -> None:
    cancelled = 'thinking_stops_total{cause="cancelled"}'
    async with client_of(cluster) as http:
        before = sum_of(await read_pages(http), cancelled)
        streams = [Stream() for _ in range(4)]
        reading = [asyncio.create_task(s.read(http, body(LONG))) for s in streams]
        await asyncio.gather(*(stream.begun.wait() for stream in streams))
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        assert not any(stream.is_complete for stream in streams)
        until = time.monotonic() + 120
        while (
            sum_of(pages := await read_pages(http), cancelled) < before + len(streams)
            or sum_of(pages, "thinking_admitted_requests") > 0
        ):
            assert time.monotonic() < until, [select_causes(page) for page in pages.values()]


async def begin_on_both(http: httpx.AsyncClient, budget: int) -> tuple[list[Stream], list[Task]]:
    """Return streams that have begun, on each replica at least one, and what reads them."""
    streams: list[Stream] = []
    reading: list[Task] = []
    while len(streams) < MAX_STREAMS:
        more = [Stream() for _ in range(4)]
        streams += more
        reading += [asyncio.create_task(stream.read(http, body(budget))) for stream in more]
        await asyncio.gather(*(stream.begun.wait() for stream in more))
        pages = await read_pages(http)
        if len(pages) == sum(is_busy(page) for page in pages.values()) == NUM_REPLICAS:
            return streams, reading
    pytest.fail(f"{MAX_STREAMS} streams, and not one on each of {NUM_REPLICAS} replicas")


def is_busy(page: dict[str, float]) -> bool:
    return sum_of({"": page}, "thinking_admitted_requests") > 0


async def test_the_death_of_a_replica_ends_its_own_streams_only(cluster: Cluster) -> None:
    victim, survivor = cluster.find_replicas()
    orphans = victim.children(recursive=True)
    async with client_of(cluster) as http:
        streams, reading = await begin_on_both(http, LONGEST)
        silent = [asyncio.create_task(http.post(CHAT, json=body(LONG))) for _ in range(4)]
        await read_pages(http)  # asked after the silent ones, so that these have been handed on
        victim.kill()
        await asyncio.gather(*reading)
        # What has received nothing is told so, and not asked again elsewhere.
        assert {reply.status_code for reply in await asyncio.gather(*silent)} <= {200, 500}
        ended_well = [stream for stream in streams if stream.is_complete]
        assert 0 < len(ended_well) < len(streams)
        assert all(stream.receipt["used"] == LONGEST for stream in ended_well)
        # The other answers at once, and alone.
        replies = await asyncio.gather(*(http.post(CHAT, json=body(SHORT)) for _ in range(8)))
        assert [reply.status_code for reply in replies] == [200] * 8
    assert survivor.is_running()
    # The engine of the dead one does not outlive it.
    _, alive = psutil.wait_procs(orphans, timeout=60)
    assert not alive
    await wait_ready(cluster)


@dataclass
class Load:
    """Clients that ask one request after the other, long and short, some of them streamed."""

    http: httpx.AsyncClient
    is_over: bool = False
    models: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    async def ask_until_over(self, place: int) -> None:
        while not self.is_over:
            budget = LONG if place == 0 else SHORT
            if place % 2:
                await self.ask(body(budget))
            else:
                await self.ask_streamed(body(budget))
            await asyncio.sleep(PAUSE_SECONDS)

    async def ask(self, asked: dict[str, Any]) -> None:
        try:
            response = await self.http.post(CHAT, json=asked)
        except httpx.TransportError as error:
            self.lost.append(repr(error))
            return
        if response.status_code != 200:
            self.lost.append(f"{response.status_code} {response.text}")
        else:
            self.models.append(response.json()["model"])

    async def ask_streamed(self, asked: dict[str, Any]) -> None:
        stream = Stream()
        await stream.read(self.http, asked)
        if not stream.is_complete:
            self.lost.append(f"stream after {len(stream.events)} events: {stream.events[-1:]}")
        elif stream.receipt["used"] != asked["max_thinking_tokens"]:
            self.lost.append(f"another budget: {stream.receipt}")
        else:
            self.models.append(stream.events[-1]["model"])


@pytest.mark.timeout(1800)
async def test_a_rolling_upgrade_loses_no_request(cluster: Cluster) -> None:
    old = cluster.find_replicas()
    async with client_of(cluster) as http:
        load = Load(http)
        clients = [asyncio.create_task(load.ask_until_over(n)) for n in range(NUM_CLIENTS)]
        try:
            await asyncio.to_thread(cluster.deploy, NEW)
            _, alive = await asyncio.to_thread(psutil.wait_procs, old, UPGRADE_SECONDS)
        finally:
            load.is_over = True
            await asyncio.gather(*clients)
        assert not alive, cluster.read_logs()
        assert load.lost == []
        assert set(load.models) == {OLD, NEW}
        last = await asyncio.gather(*(http.post(CHAT, json=body(SHORT)) for _ in range(8)))
        assert {reply.json()["model"] for reply in last} == {NEW}
    assert "LoadPolicy" in cluster.read_logs()  # deploy/ray/serve.yaml names it


async def test_a_replica_ends_with_its_engine(cluster: Cluster) -> None:
    replica, other = cluster.find_replicas()
    (engine,) = [one for one in replica.children(recursive=True) if "VLLM::Engine" in one.name()]
    engine.kill()
    # Sooner than three of Ray's health checks can fail.
    _, alive = await asyncio.to_thread(psutil.wait_procs, [replica], HEALTH_CHECK_SECONDS)
    assert not alive
    assert other.is_running()
    async with client_of(cluster) as http:
        replies = await asyncio.gather(*(http.post(CHAT, json=body(SHORT)) for _ in range(8)))
    assert [reply.status_code for reply in replies] == [200] * 8
