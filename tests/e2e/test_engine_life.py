"""What a supervisor and a client see when the server is stopped, and when its engine dies."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from server.exit_codes import ExitCode
from tests.e2e.conftest import Server, started_server

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(600)]

END_SECONDS = 15.0
EOS_TOKEN_ID = 2  # of the embedded model: kept away, so that replies have a known length


@dataclass
class OpenStream:
    """A streamed chat, read by a thread of its own; `events` grows."""

    server: Server
    max_tokens: int
    events: list[dict[str, Any]] = field(default_factory=list)
    done: bool = False

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        until = time.monotonic() + 60
        while len(self.events) < 3:
            assert time.monotonic() < until, "the stream does not start"
            time.sleep(0.02)

    def _read(self) -> None:
        body = {
            "model": "smollm2-135m-instruct",
            "messages": [{"role": "user", "content": "Tell me a long story."}],
            "max_completion_tokens": self.max_tokens,
            "max_thinking_tokens": 0,
            "logit_bias": {str(EOS_TOKEN_ID): -100},
            "stream": True,
        }
        url = f"{self.server.base_url}/v1/chat/completions"
        with httpx.stream("POST", url, json=body, timeout=60) as response:
            for data in _data_of(response):
                if data == "[DONE]":
                    self.done = True
                else:
                    self.events.append(json.loads(data))

    def wait(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()


def test_ctrl_c_lets_open_streams_finish_and_leaves_nothing(tmp_path: Path) -> None:
    with started_server(tmp_path / "log.txt", own_group=True) as server:
        server.wait_ready()
        children = server.children()
        stream = OpenStream(server, max_tokens=60)
        # As a terminal does it: every process of the group gets the signal.
        os.killpg(server.pid, signal.SIGINT)
        time.sleep(0.3)
        assert httpx.get(f"{server.base_url}/health").status_code == 503
        assert _chat_status(server) == 503
        stream.wait()
        assert stream.done
        assert stream.events[-1]["choices"][0]["finish_reason"] == "length"
        assert server.process.wait(END_SECONDS) == ExitCode.OK, server.log()
        assert "Traceback" not in server.log()
        _assert_gone(children)


def test_a_killed_engine_ends_streams_with_an_error_and_the_process_with_its_code(
    tmp_path: Path,
) -> None:
    with started_server(tmp_path / "log.txt") as server:
        server.wait_ready()
        children = server.children()
        stream = OpenStream(server, max_tokens=4000)
        health: list[int] = []
        children[0].kill()
        died = time.monotonic()
        while server.process.poll() is None and time.monotonic() < died + END_SECONDS:
            health.append(_health_status(server))
            time.sleep(0.05)
        assert server.process.poll() == ExitCode.ENGINE_DIED, server.log()
        assert time.monotonic() - died < END_SECONDS
        stream.wait()
        assert "error" in stream.events[-1]
        assert 503 in health
        _assert_gone(children)


def test_an_unservable_option_ends_the_start_with_a_message(tmp_path: Path) -> None:
    arguments = ("--speculative-config", '{"method": "ngram", "num_speculative_tokens": 2}')
    with started_server(tmp_path / "log.txt", arguments) as server:
        try:
            assert server.process.wait(120) == ExitCode.USAGE, server.log()
        except subprocess.TimeoutExpired:
            pytest.fail(server.log())
        assert "--speculative-config" in server.log()


def _data_of(response: httpx.Response) -> Iterator[str]:
    try:
        for line in response.iter_lines():
            if line.startswith("data: "):
                yield line.removeprefix("data: ")
    except httpx.TransportError:
        return


def _chat_status(server: Server) -> int:
    body = {"model": "smollm2-135m-instruct", "messages": [{"role": "user", "content": "Hi"}]}
    return httpx.post(f"{server.base_url}/v1/chat/completions", json=body).status_code


def _health_status(server: Server) -> int:
    try:
        return httpx.get(f"{server.base_url}/health", timeout=2).status_code
    except httpx.TransportError:
        return 0


def _assert_gone(children: list[psutil.Process]) -> None:
    # An orphan waits a second for an orderly end; a busy machine takes its time.
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive
