"""The real servers that modules share: one a configuration, loading before it is needed.

A start is half a minute of two cores. So each configuration starts once, while the tests that
come before it run, and ends when the next one is needed. `ORDER` is the order in which
``tests/conftest.py`` runs the tests that need them.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from server.hub.model_resolution import resolve_model
from tests.e2e.process import Server, free_port, started_process, started_server

# vLLM wants room for the longest reply possible; one of the tests takes 6 to 10 blocks of 32.
CRAMPED_BLOCKS, CRAMPED_LENGTH, CRAMPED_REQUESTS = 20, 512, 18


@dataclass(frozen=True, slots=True)
class ThinkerServer(Server):
    """A server on the thinker, with its reward model and a trace store."""

    scorer: Server

    def wait_ready(self) -> None:
        """Wait for both."""
        self.scorer.wait_ready()
        Server.wait_ready(self)


@contextmanager
def cramped_server(folder: Path) -> Iterator[Server]:
    """Start the thinker with a cache for three of the replies that it is asked for at once.

    In float32: in bfloat16, what else is in the batch decides between tokens that are equally
    likely. With the threads that the server chooses, as nowhere else but in ``test_parallel.py``.
    """
    arguments = ["--model", "thinker", "--max-model-len", str(CRAMPED_LENGTH)]
    arguments += ["--dtype", "float32", "--num-gpu-blocks-override", str(CRAMPED_BLOCKS)]
    arguments += ["--max-num-seqs", str(CRAMPED_REQUESTS)]
    with started_server(folder / "log.txt", arguments, own_threads=True) as running:
        yield running


@contextmanager
def seeing_server(folder: Path) -> Iterator[Server]:
    """Make a tiny model that reads images, and serve it under the name "tiny"."""
    port, model = free_port(), folder / "tiny"
    make_and_serve = (
        f'"{sys.executable}" -m tests.e2e.tiny_vision_model "{model}" && '
        f'exec "{sys.executable}" -m server --port {port} --model "{model}" --enforce-eager'
    )
    with started_process(["sh", "-c", make_and_serve], port, folder / "log.txt") as running:
        yield running


@contextmanager
def thinker_server(folder: Path) -> Iterator[ThinkerServer]:
    """Start the thinker beside vLLM's own pooling server on the thinker's scorer.

    Its drain is short, and its log is JSON: the test that ends it is about these.
    """
    with started_scorer(folder / "scorer.txt") as scorer:
        arguments = ["--model", "thinker", "--scorer-url", scorer.base_url]
        arguments += ["--trace-store", str(folder / "traces.sqlite")]
        arguments += ["--drain-seconds", "0.5", "--log-format", "json"]
        with started_server(folder / "log.txt", arguments) as running:
            yield ThinkerServer(running.base_url, running.process, running.log_path, scorer)


@contextmanager
def started_scorer(log_path: Path) -> Iterator[Server]:
    """Start vLLM's pooling server as an operator would. It may still be loading."""
    port = free_port()
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", resolve_model("thinker-scorer").path_or_hub_id]
    command += ["--runner", "pooling", "--dtype", "float32", "--enforce-eager"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with started_process(command, port, log_path) as running:
        yield running


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """Start the embedded model as a user does, with a quota that nobody reaches.

    In a process group of its own, so that a test can end it as a terminal would.
    """
    arguments = ["--anonymous-quota", '{"reasoning_tokens_per_day": 1000000000}']
    with started_server(folder / "log.txt", arguments, own_group=True, compiles=True) as running:
        yield running


ORDER: Mapping[str, Callable[[Path], AbstractContextManager[Server]]] = {
    "cramped_server": cramped_server,
    "seeing_server": seeing_server,
    "thinker_server": thinker_server,
    "server": server,
}


@dataclass(slots=True)
class SharedServers:
    """Those of a session; each of the `lines` is needed in its order, by one process."""

    folder: Path
    lines: Sequence[Sequence[str]]
    _running: dict[str, tuple[ExitStack, Server]] = field(default_factory=dict)

    def prepare(self) -> None:
        """Let the first one of all load while tests run that need none of them."""
        if self.lines[0] and not self._running:
            self._start(self.lines[0][0])

    def use(self, name: str) -> Server:
        """Return one that is ready. Those before it are ended, and the one after it loads."""
        (line,) = (line for line in self.lines if name in line)
        place = line.index(name)
        for earlier in line[:place]:
            self._end(earlier)
        running = self._start(name)
        running.wait_ready()
        for following in line[place + 1 : place + 2]:
            self._start(following)
        return running

    def end(self) -> None:
        """End those that still run."""
        for name in tuple(self._running):
            self._end(name)

    def _start(self, name: str) -> Server:
        if name not in self._running:
            folder = self.folder / name
            folder.mkdir()
            stack = ExitStack()
            self._running[name] = (stack, stack.enter_context(ORDER[name](folder)))
        return self._running[name][1]

    def _end(self, name: str) -> None:
        if name in self._running:
            stack, _ = self._running.pop(name)
            stack.close()
