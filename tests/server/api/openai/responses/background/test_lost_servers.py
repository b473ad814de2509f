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
    try:
        return httpx.get(f"{url}/health", timeout=END_SECONDS).status_code == 200
    except httpx.ConnectError:  # bound, and not listening yet
        return False


def wait_until(is_so: Any) -> None:
    until = time.monotonic() + END_SECONDS
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="module")
def other(redis_port: int) -> Iterator[Process]:
    """The server that lives on."""
    with start_server(redis_port) as process:
        yield process


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
    redis_port: int, other: Process
) -> None:
    with start_server(redis_port) as one:
        read, polled = (one.ask("POST", PATH, json=BODY)["id"] for _ in range(2))
        has_begun = asyncio.Event()
        reading = asyncio.create_task(read_until_end(f"{other.url}{PATH}/{read}", has_begun))
        await asyncio.wait_for(has_begun.wait(), END_SECONDS)
        one.process.kill()
        events = await asyncio.wait_for(reading, END_SECONDS)
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    failed = other.ask("GET", f"{PATH}/{read}")
    assert failed == events[-1]["response"]
    assert failed["status"] == "failed"
    assert "ended without finishing" in failed["error"]["message"]
    assert other.ask("POST", f"{PATH}/{read}/cancel") == failed
    # Nobody has read this one.
    wait_until(lambda: other.ask("GET", f"{PATH}/{polled}")["status"] == "failed")


def test_a_drain_finishes_what_it_can_and_fails_the_rest_with_the_reason(
    redis_port: int, other: Process
) -> None:
    with start_server(redis_port, drain_seconds="20") as one:
        short = one.ask("POST", PATH, json=BODY | {"max_output_tokens": 300})["id"]
        endless = one.ask("POST", PATH, json=BODY)["id"]
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(END_SECONDS) == 0
    ended, failed = (other.ask("GET", f"{PATH}/{name}") for name in (short, endless))
    assert ended["status"] == "incomplete"
    assert ended["usage"]["output_tokens"] == 300
    assert failed["status"] == "failed"
    assert "shutting down" in failed["error"]["message"]
