"""The servers that agents are pointed at, and what each server's own log says of the requests."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.engine.scripted import ScriptedEngine
from server.logs.log import LogFormat, ServerLog
from tests.attack.conftest import attacked_server
from tests.e2e.process import Server, free_port, started_process
from tests.sdk.agents.playing import TaskModel
from tests.server.conftest import MODEL, PROFILES, TOKENIZER

# A token of the scripted engine is a letter; an agent's first prompt has 100,000 of them.
CONTEXT = 2_000_000
SECONDS = 120.0
CODER = "coder"
EFFORT_TOKENS = {"low": 48}

LoggedRequest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ScriptedServer:
    """A server over a scripted engine; its log is whole once it has ended."""

    base_url: str
    log_path: Path

    def read_requests(self) -> list[LoggedRequest]:
        """Return the fields of each request, in the order in which they ended."""
        return parse_requests(self.log_path.read_text(encoding="utf-8"))


@contextmanager
def scripted_server(model: TaskModel, folder: Path) -> Iterator[ScriptedServer]:
    """Serve `model` on this machine, as it is deployed, with a log in `folder`."""
    engine = ScriptedEngine(
        model, TOKENIZER, PROFILES["special markers"], model_name=MODEL, max_model_len=CONTEXT
    )
    times = {f"{name}_timeout_seconds": SECONDS for name in ("header", "body", "send")}
    log_path = folder / "log.jsonl"
    with ExitStack() as stack:
        stream = stack.enter_context(log_path.open("w", encoding="utf-8"))
        log = ServerLog(LogFormat.JSON, stream)
        log.start()
        stack.callback(log.stop)
        running = stack.enter_context(attacked_server(engine, **times))
        yield ScriptedServer(running.url, log_path)


@contextmanager
def coder_server(folder: Path) -> Iterator[Server]:
    """Make a small random model with a long context, and serve it on the real engine."""
    port, model = free_port(), folder / CODER
    options = f"--log-format json --effort-tokens '{json.dumps(EFFORT_TOKENS)}'"
    make_and_serve = (
        f'"{sys.executable}" -m tests.sdk.agents.coder_model "{model}" && '
        f'exec "{sys.executable}" -m server --port {port} --model "{model}" {options}'
    )
    with started_process(["sh", "-c", make_and_serve], port, folder / "log.jsonl") as running:
        running.wait_ready()
        yield running


def parse_requests(log: str) -> list[LoggedRequest]:
    """Return the request lines of a log in JSON; other programs may write to it, too."""
    lines = [line for line in log.splitlines() if line.startswith("{")]
    return [fields for fields in map(json.loads, lines) if fields.get("message") == "request"]


def check_untroubled(requests: Sequence[LoggedRequest]) -> None:
    """Assert that none of an agent's requests was refused, and that it waited for its reply.

    It may leave others at its end: OpenCode does not wait for the title of the conversation.
    """
    assert requests
    for request in requests:
        assert request["status"] < 400, request
        assert request["error"] is None, request
    assert not all(request["client_left"] for request in requests)
