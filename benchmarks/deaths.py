"""``python -m benchmarks.deaths``: engines that are killed under a crowd of streams, as a table.

Two engines elsewhere, and our server before them, on the thinker in float32. A crowd is answered
once without a death; then, for each moment, an engine is ended by signal 9 when so large a part of
the crowd's tokens has arrived, and the replies are compared with the undisturbed ones. Exits with 1
if one differs in text or counts.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from benchmarks.proof.machine import describe_provenance
from benchmarks.server_process import HOST, RunningServer, serve, to_flags
from server.hub.model_resolution import resolve_model

MODEL = "thinker"
READY_SECONDS = 300.0
POLL_SECONDS = 0.25
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_USE_V2_MODEL_RUNNER": "0",
}
# Replies that think long and answer briefly, and the reverse: an answer without an end (token 1).
THINKERS = {"max_thinking_tokens": 240, "min_thinking_tokens": 200, "max_completion_tokens": 400}
WRITERS = {"max_thinking_tokens": 24, "logit_bias": {"1": -100}, "max_completion_tokens": 320}


@dataclass
class Reply:
    """A streamed reply as its client sees it; `num_events` have brought text."""

    thought: str = ""
    answer: str = ""
    num_events: int = 0
    usage: dict[str, Any] = field(default_factory=dict)
    receipt: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    has_ended: bool = False

    @property
    def num_tokens(self) -> int:
        """Tokens that the server says it has generated."""
        return int(self.usage.get("completion_tokens", 0))

    def take(self, event: dict[str, Any]) -> None:
        """Take an event of the stream."""
        if "error" in event:
            self.error = event["error"]["code"]
        self.usage = event.get("usage") or self.usage
        for choice in event.get("choices", ()):
            delta = choice["delta"]
            thought, answer = delta.get("reasoning") or "", delta.get("content") or ""
            self.thought, self.answer = self.thought + thought, self.answer + answer
            self.num_events += bool(thought or answer)
            self.receipt = choice.get("thinking") or self.receipt


@dataclass(frozen=True, slots=True)
class Death:
    """A death of an engine, as a row of the table."""

    part: float
    in_thoughts: int
    in_answers: int
    replies: Sequence[Reply]

    def format_row(self, undisturbed: Sequence[Reply]) -> str:
        """Return the row, with what differs from the undisturbed replies."""
        pairs = list(zip(self.replies, undisturbed, strict=True))
        well = sum(reply.error is None and reply.has_ended for reply in self.replies)
        migrated = sum("migrations" in reply.receipt for reply in self.replies)
        wrong = sum(abs(reply.num_tokens - other.num_tokens) for reply, other in pairs)
        same = sum(is_same(reply, other) for reply, other in pairs)
        cells = (
            f"{self.part:.0%}",
            self.in_thoughts,
            self.in_answers,
            f"{well} of {len(pairs)}",
            migrated,
            wrong,
            f"{same} of {len(pairs)}",
        )
        return "| " + " | ".join(map(str, cells)) + " |"


HEAD = (
    "| killed after | thinking then | answering then | ended well | went on elsewhere "
    "| tokens repeated or lost | same text and receipt |\n|--:|--:|--:|--:|--:|--:|--:|"
)


def is_same(reply: Reply, other: Reply) -> bool:
    """Return whether two replies have the same text and the same counts."""
    counts = ("budget", "used", "injected", "segments", "stop")
    receipts = (reply.receipt, other.receipt)
    ours, theirs = ([receipt.get(name) for name in counts] for receipt in receipts)
    return (reply.thought, reply.answer, ours) == (other.thought, other.answer, theirs)


def main() -> int:
    """Run all deaths, print the table, and return the exit status."""
    arguments = _parse_arguments()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        engines = [stack.enter_context(started_engine(Path(folder), place)) for place in range(2)]
        command = [sys.executable, "-m", "server", "--model", MODEL, "--host", HOST]
        command += ["--engine-url", *(engine.url for engine in engines)]
        log = Path(folder) / "front.log"
        front = stack.enter_context(serve("ours", command, log, ready_seconds=READY_SECONDS))
        undisturbed = asyncio.run(ask_all(front.url, arguments.streams))
        print(describe_provenance(" ".join(["python -m benchmarks.deaths", *sys.argv[1:]])))
        print(HEAD)
        is_well = True
        for number, part in enumerate(arguments.parts):
            place = number % 2
            death = asyncio.run(
                ask_all_and_kill(front.url, undisturbed, part, engines[place].process)
            )
            print(death.format_row(undisturbed), flush=True)
            is_well &= all(map(is_same, death.replies, undisturbed))
            port = int(engines[place].url.rpartition(":")[2])
            engines[place] = stack.enter_context(started_engine(Path(folder), place, port))
    return 0 if is_well else 1


@contextmanager
def started_engine(folder: Path, place: int, port: int | None = None) -> Iterator[RunningServer]:
    """Start an engine that gives tokens only; on `port`, where it is to come back."""
    options = {
        "model": resolve_model(MODEL).path_or_hub_id,
        "host": HOST,
        "tokens_only": True,
        "enforce_eager": True,
        "dtype": "float32",
        "disable_log_stats": True,
    }
    module = "vllm.entrypoints.openai.api_server"
    command = [sys.executable, "-m", module, *to_flags(options)]
    log = folder / f"engine-{place}.log"
    with serve(
        "an engine",
        command,
        log,
        ready_seconds=READY_SECONDS,
        environment=ENVIRONMENT,
        port=port,
    ) as running:
        yield running


async def ask_all(url: str, num_streams: int) -> Sequence[Reply]:
    """Ask for all replies at once."""
    replies = [Reply() for _ in range(num_streams)]
    async with aiohttp.ClientSession(url) as session:
        await asyncio.gather(*(_read(session, n, reply) for n, reply in enumerate(replies)))
    return replies


async def ask_all_and_kill(
    url: str, undisturbed: Sequence[Reply], part: float, process: psutil.Process
) -> Death:
    """Ask for all replies at once; kill an engine when a part of their text has arrived."""
    replies = [Reply() for _ in undisturbed]
    due = part * sum(reply.num_events for reply in undisturbed)
    async with aiohttp.ClientSession(url) as session:
        tasks = [asyncio.create_task(_read(session, n, reply)) for n, reply in enumerate(replies)]
        while sum(reply.num_events for reply in replies) < due:
            if all(task.done() for task in tasks):
                break
            await asyncio.sleep(0.005)
        running = [reply for reply in replies if not reply.has_ended]
        answering = sum(bool(reply.answer) for reply in running)
        for one in (process, *process.children(recursive=True)):
            one.kill()
        await asyncio.gather(*tasks)
    return Death(part, len(running) - answering, answering, replies)


async def _read(session: aiohttp.ClientSession, number: int, reply: Reply) -> None:
    question = f"{number}+{number * 7 % 50}-{number % 9}+{number % 4}*3 mod 100 ="
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "include_reasoning": True,
        **(THINKERS if number % 2 else WRITERS),
    }
    async with session.post("/v1/chat/completions", json=body) as response:
        async for line in response.content:
            if line.startswith(b"data: {"):
                reply.take(json.loads(line.removeprefix(b"data: ")))
    reply.has_ended = True


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deaths", description=__doc__)
    parser.add_argument("--streams", type=int, default=64)
    parser.add_argument(
        "--parts",
        type=lambda text: [float(part) for part in text.split(",")],
        default=[0.02, 0.2, 0.4, 0.6, 0.8, 0.95],
        metavar="P,…",
        help="moments of the deaths, as parts of the crowd's text",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
