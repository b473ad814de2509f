"""What a supervisor and a client see when the server is stopped, and when its engine dies.

Most of these end a server that others have used before (``ends_server``).
"""

import itertools
import json
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from server.process.exit import ExitCode
from tests.e2e.process import (
    Server,
    assert_can_start_again,
    assert_gone,
    free_port,
    started_server,
)
from tests.e2e.shared import ThinkerServer

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1800)]

END_SECONDS = 60.0  # of a process that has been told to end, on a busy machine
REFUSED = 0  # in place of a status
LOAD_SECONDS = 600.0  # of a process that is about to import vLLM, on a busy machine


@dataclass
class OpenStream:
    """A streamed chat of a known length, read by a thread; `events` grows.

    A bias makes the model write one digit all the time, so that it neither ends nor writes tokens
    without text.
    """

    server: Server
    model: str
    num_tokens: int
    events: list[dict[str, Any]] = field(default_factory=list)
    done: bool = False
    was_cut: bool = False

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        until = time.monotonic() + 60
        while len(self.events) < 3:
            assert time.monotonic() < until, "the stream does not start"
            time.sleep(0.02)

    def _read(self) -> None:
        digit = {"model": self.model, "prompt": "7"}
        tokens = httpx.post(f"{self.server.base_url}/tokenize", json=digit, timeout=60).json()
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": "Tell me a long story."}],
            "max_completion_tokens": self.num_tokens,
            "max_thinking_tokens": 0,
            "logit_bias": {str(tokens["tokens"][-1]): 100},
            "stream": True,
        }
        url = f"{self.server.base_url}/v1/chat/completions"
        with httpx.stream("POST", url, json=body, timeout=60) as response:
            try:
                self._read_lines(response)
            except httpx.TransportError:
                self.was_cut = True

    def _read_lines(self, response: httpx.Response) -> None:
        for line in response.iter_lines():
            if line == "data: [DONE]":
                self.done = True
            elif line.startswith("data: "):
                self.events.append(json.loads(line.removeprefix("data: ")))

    def wait(self) -> None:
        self._thread.join(120)
        assert not self._thread.is_alive()


@pytest.mark.ends_server
def test_ctrl_c_lets_open_streams_finish_and_leaves_nothing(server: Server) -> None:
    children = server.children()
    before = len(server.log())
    stream = OpenStream(server, "smollm2-135m-instruct", num_tokens=100)
    # As a terminal does it: every process of the group gets the signal.
    os.killpg(server.pid, signal.SIGINT)
    time.sleep(0.3)
    assert httpx.get(f"{server.base_url}/health", timeout=60).status_code == 503
    assert _chat_status(server) == 503
    stream.wait()
    assert stream.done
    assert stream.events[-1]["choices"][0]["finish_reason"] == "length"
    assert server.process.wait(END_SECONDS) == ExitCode.OK, server.log()
    assert "Traceback" not in server.log()[before:]
    assert_gone(children)
    assert_can_start_again(server)


@pytest.mark.ends_server
def test_streams_that_outlast_the_drain_end_with_an_error(thinker_server: ThinkerServer) -> None:
    before = len(thinker_server.log())
    streams = [OpenStream(thinker_server, "thinker", num_tokens=900) for _ in range(2)]
    thinker_server.process.send_signal(signal.SIGTERM)
    for stream in streams:
        stream.wait()
        assert stream.events[-1]["error"]["code"] == "shutting_down"
        assert not stream.was_cut
    assert thinker_server.process.wait(END_SECONDS) == ExitCode.OK, thinker_server.log()
    log = thinker_server.log()[before:]
    assert "cut off: 2" in log
    # The log's last lines wait in a queue: they are written before the end.
    assert log.count('"error": "shutting_down"') == 2
    assert "Traceback" not in log


@pytest.mark.ends_server
def test_a_killed_engine_ends_streams_with_an_error_and_the_process_with_its_code(
    seeing_server: Server,
) -> None:
    children = seeing_server.children()
    stream = OpenStream(seeing_server, "tiny", num_tokens=1500)
    health: list[int] = []
    children[0].kill()
    died = time.monotonic()
    while seeing_server.process.poll() is None and time.monotonic() < died + END_SECONDS:
        health.append(_health_status(seeing_server))
        time.sleep(0.05)
    assert seeing_server.process.poll() == ExitCode.ENGINE_DIED, seeing_server.log()
    assert time.monotonic() - died < END_SECONDS
    stream.wait()
    assert stream.events[-1]["error"]["code"] == "engine_dead"
    assert not stream.was_cut
    # 503, then refused: a busy machine may have no time to ask in between.
    assert set(health) <= {200, 503, REFUSED}
    assert 200 not in itertools.dropwhile(lambda code: code == 200, health)
    assert_gone(children)
    assert_can_start_again(seeing_server)


@pytest.mark.ends_server
def test_a_killed_worker_ends_the_process_with_the_engines_code(cramped_server: Server) -> None:
    children = cramped_server.children()
    # The deepest: a worker, where the core has one. Grammars are tried in processes of ours.
    engine = [child for child in children if "forkserver" not in " ".join(child.cmdline())]
    engine[-1].kill()
    assert cramped_server.process.wait(END_SECONDS) == ExitCode.ENGINE_DIED, cramped_server.log()
    assert_gone(children)
    assert_can_start_again(cramped_server)


def test_a_server_killed_while_it_loads_leaves_nothing_and_another_one_answers(
    tmp_path: Path,
) -> None:
    """One life after the other, on one port, as a supervisor would start them.

    That a server killed while it serves leaves nothing is shown in ``tests/ops/test_replicas.py``.
    """
    port = free_port()
    with started_server(tmp_path / "1.txt", port=port) as server:
        children = _children_while_loading(server)
        server.process.kill()
        server.process.wait(END_SECONDS)
        assert_gone(children, LOAD_SECONDS)
    with started_server(tmp_path / "2.txt", port=port) as server:
        until = time.monotonic() + LOAD_SECONDS
        while _health_status(server) != 503:
            assert time.monotonic() < until, server.log()
            time.sleep(0.1)


def _children_while_loading(server: Server) -> list[psutil.Process]:
    """The engine's processes, as soon as there are any; not those that look at the CPU."""
    until = time.monotonic() + LOAD_SECONDS
    while not (children := [child for child in server.children() if _is_spawned(child)]):
        assert time.monotonic() < until, server.log()
        time.sleep(0.1)
    assert _health_status(server) == 503
    return children


def _is_spawned(process: psutil.Process) -> bool:
    try:
        return "--multiprocessing-fork" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def test_an_unservable_option_ends_the_start_with_a_message(tmp_path: Path) -> None:
    arguments = ("--speculative-config", '{"method": "ngram", "num_speculative_tokens": 2}')
    with started_server(tmp_path / "log.txt", arguments) as server:
        try:
            assert server.process.wait(LOAD_SECONDS) == ExitCode.USAGE, server.log()
        except subprocess.TimeoutExpired:
            pytest.fail(server.log())
        assert "--speculative-config" in server.log()
        assert "V1 runner" in server.log()


def _chat_status(server: Server) -> int:
    body = {
        "model": "smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": 4,
    }
    url = f"{server.base_url}/v1/chat/completions"
    return httpx.post(url, json=body, timeout=60).status_code


def _health_status(server: Server) -> int:
    try:
        return httpx.get(f"{server.base_url}/health", timeout=30).status_code
    except httpx.TransportError:
        return REFUSED
