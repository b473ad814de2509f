"""Servers as processes on one Redis: killed, or stopped while a reply is being written."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from server.keys.sealed_thoughts import KEYS_VARIABLE
from tests.server.api.openai.responses.background.servers import END_SECONDS, THOUGHT_KEYS
from tests.server.conftest import MODEL

LEASE_SECONDS = 2.0
PATH = "/v1/responses"
BODY: dict[str, Any] = {
    "model": MODEL,
    "input": "How many?",
    "temperature": 0,
    "max_thinking_tokens": 0,
    "max_output_tokens": 80_000,
    "background": True,
}


@dataclass(frozen=True, slots=True)
class Process:
    """A server with endless replies."""

    process: "subprocess.Popen[str]"
    url: str

    def ask(self, method: str, path: str, **options: Any) -> Any:
        response = httpx.request(method, self.url + path, timeout=END_SECONDS, **options)
        assert response.status_code == 200, response.text
        return response.json()


@contextmanager
def start_server(redis_port: int, **options: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "tests.server.scripted_server"]
    variables = {
        KEYS_VARIABLE: THOUGHT_KEYS,
        "THINKING_SERVER_RESPONSE_STORE": f"redis://127.0.0.1:{redis_port}",
        "THINKING_SERVER_RESPONSE_STORE_LEASE_SECONDS": str(LEASE_SECONDS),
        **{f"THINKING_SERVER_{name.upper()}": value for name, value in options.items()},
    }
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | variables
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            wait_until(lambda: is_ready(url))
            yield Process(process, url)
        finally:
            process.kill()


def is_ready(url: str) -> bool:
    return httpx.get(f"{url}/health", timeout=END_SECONDS).status_code == 200


def wait_until(is_so: Any) -> None:
    until = time.monotonic() + END_SECONDS
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def servers(redis_port: int) -> Iterator[tuple[Process, Process]]:
    with start_server(redis_port) as one, start_server(redis_port) as other:
        yield one, other


async def read_until_end(url: str, has_begun: asyncio.Event) -> list[dict[str, Any]]:
    """Return the events of a stream, which must end."""
    events = []
    async with (
        httpx.AsyncClient(timeout=END_SECONDS) as http,
        http.stream("GET", url, params={"stream": "true"}) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))
            if len(events) > 10:
                has_begun.set()
    return events


async def test_what_a_killed_server_was_writing_fails_for_pollers_and_readers(
    servers: tuple[Process, Process],
) -> None:
    one, other = servers
    begun = one.ask("POST", PATH, json=BODY)
    path = f"{PATH}/{begun['id']}"
    has_begun = asyncio.Event()
    reading = asyncio.create_task(read_until_end(other.url + path, has_begun))
    await asyncio.wait_for(has_begun.wait(), END_SECONDS)
    one.process.kill()
    killed = time.monotonic()
    events = await asyncio.wait_for(reading, END_SECONDS)
    # On an idle machine within the lease; other tests may keep this one from running.
    assert time.monotonic() - killed < LEASE_SECONDS + 10
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    failed = other.ask("GET", path)
    assert failed == events[-1]["response"]
    assert failed["status"] == "failed"
    assert "ended without finishing" in failed["error"]["message"]
    assert other.ask("POST", f"{path}/cancel") == failed


def test_a_poller_learns_of_a_killed_server_though_nobody_streams(
    servers: tuple[Process, Process],
) -> None:
    one, other = servers
    begun = one.ask("POST", PATH, json=BODY)
    path = f"{PATH}/{begun['id']}"
    one.process.kill()
    wait_until(lambda: other.ask("GET", path)["status"] == "failed")


def test_what_outlasts_the_drain_fails_with_the_reason(redis_port: int) -> None:
    with (
        start_server(redis_port, drain_seconds="0.3") as one,
        start_server(redis_port) as other,
    ):
        begun = one.ask("POST", PATH, json=BODY)
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(END_SECONDS) == 0
        failed = other.ask("GET", f"{PATH}/{begun['id']}")
    assert failed["status"] == "failed"
    assert "shutting down" in failed["error"]["message"]


def test_what_ends_within_the_drain_is_finished(redis_port: int) -> None:
    with (
        start_server(redis_port, drain_seconds="60") as one,
        start_server(redis_port) as other,
    ):
        begun = one.ask("POST", PATH, json=BODY | {"max_output_tokens": 1_000})
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(END_SECONDS) == 0
        ended = other.ask("GET", f"{PATH}/{begun['id']}")
    assert ended["status"] == "incomplete"
    assert ended["usage"]["output_tokens"] == 1_000
