"""Two real processes on one port, with scripted engines and a real Redis, seen from outside."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.ops.programs import free_port, program
from tests.ops.test_quota_redis import redis_at
from tests.server.api_processes.running import (
    END_SECONDS,
    START_SECONDS,
    RunningProcesses,
    start_processes,
    wait_until,
)
from tests.server.conftest import chat_body
from tests.server.keys.conftest import ALICE, BOB, EVE, make_entry, to_bearer
from tests.server.scraping import Scrape

# One server for all tests of the file, of which the last one ends it.
pytestmark = pytest.mark.xdist_group("api_processes")

CHAT = "/v1/chat/completions"
NUM_ALLOWED = 10
OPERATOR = to_bearer(BOB)
ENDED = "data: [DONE]"


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProcesses]:
    folder: Path = tmp_path_factory.mktemp("processes")
    program("redis-server")  # skips the tests before anything is started
    redis_port, keys = free_port(), folder / "keys.toml"
    keys.write_text(
        make_entry("alice", ALICE, **{"quota.requests_per_day": str(NUM_ALLOWED)})
        + make_entry("bob", BOB, reads_metrics="true")
        + make_entry("eve", EVE)
    )
    options = {
        "api_processes": "2",
        "keys_file": str(keys),
        "quota_storage": f"redis://127.0.0.1:{redis_port}",
        "response_store_max_responses": "0",
    }
    with (
        redis_at(redis_port, folder / "redis.log"),
        start_processes("z" * 50_000, folder / "server.log", **options) as running,
    ):
        wait_until(lambda: serves_whole(running), "two processes are ready")
        yield running


def serves_whole(running: RunningProcesses) -> bool:
    """Return whether both processes are ready."""
    assert running.main.poll() is None, running.log_path.read_text()
    if running.get("/health").status_code != 200:
        return False
    up = running.scrape(OPERATOR).group_by("thinking_engine_up", "process")
    return up == {"0": 1.0, "1": 1.0}


def short_body(**fields: Any) -> dict[str, Any]:
    """Return a body of a reply of a few tokens, without a thought."""
    return chat_body(max_thinking_tokens=0, max_completion_tokens=4, **fields)


def long_body(**fields: Any) -> dict[str, Any]:
    """Return a body whose thought takes longer than any test, if nobody ends it."""
    return chat_body(
        max_thinking_tokens=30_000,
        max_completion_tokens=40_100,
        stream=True,
        thinking_options={"loop_guard": False},
        **fields,
    )


async def post_at_once(running: RunningProcesses, secret: str, num: int) -> list[httpx.Response]:
    """Post short chats, each on a connection of its own."""
    async with httpx.AsyncClient(
        base_url=running.url,
        headers=to_bearer(secret),
        limits=httpx.Limits(max_keepalive_connections=0),
        timeout=60,
    ) as client:
        return await asyncio.gather(*(client.post(CHAT, json=short_body()) for _ in range(num)))


def scrape_both(running: RunningProcesses) -> Scrape:
    """Return /metrics once both processes have answered for it; a slow one would be left out."""
    pages: list[Scrape] = []

    def has_both() -> bool:
        pages.append(running.scrape(OPERATOR))
        return {sample.labels.get("process") for sample in pages[-1].samples} == {"0", "1"}

    wait_until(has_both, "both processes answer")
    return pages[-1]


def count_by_process(running: RunningProcesses, endpoint: str) -> Counter[str]:
    """Return the number of requests to an endpoint by the process that answered them."""
    found: Counter[str] = Counter()
    for sample in scrape_both(running).samples:
        if sample.name == "thinking_http_requests_total" and sample.labels["endpoint"] == endpoint:
            found[sample.labels["process"]] += int(sample.value)
    return found


@asynccontextmanager
async def stream_thought(
    running: RunningProcesses, secret: str
) -> AsyncIterator[tuple[str, AsyncIterator[str]]]:
    """Begin a long thought; yield its id, and the lines of its stream."""
    async with (
        httpx.AsyncClient(base_url=running.url, headers=to_bearer(secret), timeout=60) as client,
        client.stream("POST", CHAT, json=long_body()) as response,
    ):
        lines = response.aiter_lines()
        async for line in lines:
            if line.startswith("data:"):
                yield json.loads(line.removeprefix("data: "))["id"], lines
                return


async def test_a_quota_holds_over_both_processes(processes: RunningProcesses) -> None:
    before = count_by_process(processes, CHAT)
    replies = await post_at_once(processes, ALICE, 3 * NUM_ALLOWED)
    statuses = Counter(reply.status_code for reply in replies)
    assert statuses == {200: NUM_ALLOWED, 429: 2 * NUM_ALLOWED}
    served = count_by_process(processes, CHAT) - before
    assert set(served) == {"0", "1"}
    assert served.total() == 3 * NUM_ALLOWED


async def test_an_order_reaches_the_process_that_runs_the_reply(
    processes: RunningProcesses,
) -> None:
    endpoint = "/v1/thinking/{reply_id}"
    async with (
        httpx.AsyncClient(
            base_url=processes.url, limits=httpx.Limits(max_keepalive_connections=0), timeout=60
        ) as client,
        stream_thought(processes, BOB) as (reply_id, _),
    ):
        path, order, sent = f"/v1/thinking/{reply_id}", {"action": "extend", "tokens": 1}, 0
        # Until each process has been asked: one of them does not run the reply.
        while len(count_by_process(processes, endpoint)) < 2:
            answers = await asyncio.gather(
                *(client.post(path, json=order, headers=OPERATOR) for _ in range(4))
            )
            sent += len(answers)
            assert [answer.status_code for answer in answers] == [200] * 4, answers[0].text
            assert all(answer.json()["choices"][0]["extended"] == 1 for answer in answers)
            assert sent < 400
        foreign = [await client.post(path, json=order, headers=to_bearer(EVE)) for _ in range(8)]
        assert {answer.json()["error"]["code"] for answer in foreign} == {"reply_not_found"}
        # What passes between the processes is counted once.
        assert count_by_process(processes, endpoint).total() == sent + len(foreign)
        ended = await client.post(
            "/v1/chat/completions/control",
            json={"id": reply_id, "action": "reasoning_end"},
            headers=OPERATOR,
        )
        assert ended.json() == {"success": True}


async def test_a_sealed_thought_is_found_by_any_process(processes: RunningProcesses) -> None:
    async with httpx.AsyncClient(
        base_url=processes.url,
        headers=OPERATOR,
        limits=httpx.Limits(max_keepalive_connections=0),
        timeout=60,
    ) as client:
        body = short_body(include=["thinking.sealed"]) | {"max_thinking_tokens": 8}
        reply = await client.post(CHAT, json=body)
        path = f"/v1/thinking/{reply.json()['id']}"
        answers = await asyncio.gather(*(client.get(path) for _ in range(12)))
    sealed = {json.dumps(answer.json()["choices"]) for answer in answers}
    assert len(sealed) == 1


async def test_metrics_of_any_process_have_the_series_of_all(processes: RunningProcesses) -> None:
    await post_at_once(processes, BOB, 8)
    pages = [scrape_both(processes) for _ in range(4)]
    names = [[family.name for family in page.families] for page in pages]
    assert all(len(set(page)) == len(page) for page in names)
    assert processes.get("/metrics").status_code == 401
    assert processes.get("/metrics", to_bearer(EVE)).status_code == 403


async def test_a_killed_process_is_replaced_while_the_other_serves(
    processes: RunningProcesses,
) -> None:
    admitted = "thinking_admitted_requests"
    async with stream_thought(processes, BOB) as (_, lines):
        (number,) = scrape_both(processes).group_by(admitted, "process")
        owner = int(number)
        before = processes.list_processes()
        victim = 1 - owner
        before[victim].kill()
        replies: list[int] = []

        def is_replaced() -> bool:
            replies.append(httpx.get(f"{processes.url}/health", timeout=60).status_code)
            up = processes.scrape(OPERATOR).group_by("thinking_engine_up", "process")
            return up == {"0": 1.0, "1": 1.0}

        await asyncio.to_thread(wait_until, is_replaced, "another process takes its place")
        assert set(replies) == {200}
        after = processes.list_processes()
        assert after[owner] == before[owner]
        assert after[victim] != before[victim]
        restarts = scrape_both(processes).group_by("thinking_api_process_restarts_total", "process")
        assert restarts == {str(victim): 1.0}
        assert f"(pid {before[victim].pid}) was ended by SIGKILL" in processes.log_path.read_text()
        assert await anext(lines) is not None  # the stream of the other one goes on


async def test_a_signal_drains_both_processes_and_loses_no_connection(
    processes: RunningProcesses,
) -> None:
    body = short_body(stream=True) | {"max_completion_tokens": 600}
    limits = httpx.Limits(max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(base_url=processes.url, limits=limits, timeout=60) as client,
        stream_thought(processes, BOB) as (_, lines),
    ):
        both = await asyncio.to_thread(processes.list_processes)
        replies = [
            asyncio.create_task(client.post(CHAT, json=body, headers=OPERATOR)) for _ in range(8)
        ]
        await asyncio.to_thread(wait_until, lambda: writes_in_both(processes), "both write")
        processes.main.send_signal(signal.SIGTERM)
        # The thought keeps one process; the other ends. Meanwhile each request is answered.
        statuses: Counter[int] = Counter()
        while not any(map(has_ended, both.values())):
            answers = await asyncio.gather(*(client.get("/health") for _ in range(4)))
            statuses.update(answer.status_code for answer in answers)
        answers = await asyncio.gather(*(client.get("/health") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {503}
        assert set(statuses) <= {200, 503}
        assert [(await reply).text.rstrip()[-len(ENDED) :] for reply in replies] == [ENDED] * 8
        assert await anext(lines) is not None
    assert processes.main.wait(END_SECONDS) == 0
    assert processes.log_path.read_text().count("stopping: finishing open requests") == 2
    with pytest.raises(httpx.ConnectError):
        processes.get("/health")


def writes_in_both(running: RunningProcesses) -> bool:
    """Return whether each process has a reply in its engine."""
    return len(running.scrape(OPERATOR).group_by("thinking_admitted_requests", "process")) == 2


def test_a_process_that_cannot_start_ends_all_with_its_code(tmp_path: Path) -> None:
    broken = tmp_path / "keys.toml"
    broken.write_text("nonsense = 1")
    options = {"api_processes": "2", "keys_file": str(broken), "response_store_max_responses": "0"}
    with start_processes("Seven.", tmp_path / "log", **options) as running:
        assert running.main.wait(START_SECONDS) == 2
    assert "only [[keys]] is allowed" in (tmp_path / "log").read_text()


def test_processes_end_when_the_main_process_is_killed(tmp_path: Path) -> None:
    options = {"api_processes": "2", "response_store_max_responses": "0"}
    with start_processes("Seven.", tmp_path / "log", **options) as running:
        wait_until(lambda: running.get("/health").status_code == 200, "it is ready")
        children = [*running.list_processes().values()]
        assert children
        running.main.send_signal(signal.SIGKILL)
        wait_until(lambda: all(map(has_ended, children)), "the others have ended")


def has_ended(process: psutil.Process) -> bool:
    """Return whether a process has ended, whether or not its parent has asked for its code."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
