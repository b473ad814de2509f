"""Stage "server": our HTTP server beside vLLM's, under crowds of streamed chats.

Both run at once, each with its own engine of the same options, so that rounds can alternate; a
server without requests leaves the device alone. Every reply of ours is checked.
"""

import asyncio
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.gpu.chats import make_bodies, send_crowd
from benchmarks.gpu.laws import LawError, check_reply
from benchmarks.gpu.markers import make_engine_options
from benchmarks.gpu.random_model import END, START
from benchmarks.gpu.records import LAW_BROKEN, Check, Fact, Journal, Problem, Round
from benchmarks.gpu.settings import Deadline, Settings
from benchmarks.gpu.sides import HIDDEN, NATIVE, SHOWN, VLLM
from benchmarks.server_process import HOST, serve, to_flags
from benchmarks.streams import Reply

STAGE = "server"
LAW = "usage adds up, thought within its budget, one receipt that agrees, an answer"
READY_SECONDS = 600.0  # at most: the stage may have less
MODEL_NAME = "benchmark"
THEIR_MODULE = "vllm.entrypoints.openai.api_server"


@dataclass(frozen=True, slots=True)
class Crowd:
    """Requests to one server; `check` is None for replies that are not ours."""

    side: str
    url: str
    make: Callable[[int], list[dict[str, Any]]]
    check: Callable[[Reply], None] | None = None


def run(settings: Settings, journal: Journal, deadline: Deadline) -> None:
    """Start both servers and alternate between the crowds."""
    with ExitStack() as servers:
        crowds = [
            *_start_ours(settings, journal, deadline, servers),
            *_start_theirs(settings, journal, deadline, servers),
        ]
        for num_chats in settings.sizes.chats:
            usable = [crowd for crowd in crowds if _warm_up(crowd, num_chats, journal)]
            run_rounds(usable, num_chats, settings.sizes.rounds, journal, deadline)


def run_rounds(
    crowds: Sequence[Crowd], num_chats: int, rounds: int, journal: Journal, deadline: Deadline
) -> None:
    """Send each crowd once a round; which one comes first alternates."""
    longest = 0.0
    for number in range(rounds):
        if not deadline.has(1.2 * longest):
            journal.append(Problem(f"{num_chats} chats, round {number + 1}", "no time left"))
            return
        begin = time.monotonic()
        for crowd in crowds if number % 2 == 0 else crowds[::-1]:
            rate, replies = asyncio.run(send_crowd(crowd.url, crowd.make(num_chats)))
            firsts = [reply.first_answer for reply in replies if reply.first_answer is not None]
            first = round(statistics.median(firsts), 4) if firsts else None
            journal.append(Round(STAGE, crowd.side, num_chats, round(rate, 1), first))
            _check_replies(crowd, replies, journal)
        longest = max(longest, time.monotonic() - begin)


def _check_replies(crowd: Crowd, replies: Sequence[Reply], journal: Journal) -> None:
    if crowd.check is None:
        return
    try:
        for reply in replies:
            crowd.check(reply)
    except LawError as error:
        journal.append(Problem(crowd.side, f"{LAW_BROKEN}: {error}"))
    else:
        journal.append(Check(STAGE, LAW, len(replies)))


def _start_ours(
    settings: Settings, journal: Journal, deadline: Deadline, servers: ExitStack
) -> list[Crowd]:
    sizes = settings.sizes
    command = _make_command(settings, "server")
    if not settings.has_weights:
        command += ["--thinking-start", START, "--thinking-end", END]
        command += ["--thinking-primer", "", "--thinking-lead-in", ""]
    url = _start("ours", command, settings, journal, deadline, servers)
    if url is None:
        return []

    def make(count: int, **fields: Any) -> list[dict[str, Any]]:
        fields |= {"max_thinking_tokens": sizes.budget}
        return make_bodies(MODEL_NAME, count, sizes.max_tokens, **fields)

    def check(reply: Reply, *, is_shown: bool) -> None:
        check_reply(reply, budget=sizes.budget, max_tokens=sizes.max_tokens, is_shown=is_shown)

    return [
        Crowd(HIDDEN, url, make, lambda reply: check(reply, is_shown=False)),
        Crowd(
            SHOWN,
            url,
            lambda count: make(count, include_reasoning=True),
            lambda reply: check(reply, is_shown=True),
        ),
    ]


def _start_theirs(
    settings: Settings, journal: Journal, deadline: Deadline, servers: ExitStack
) -> list[Crowd]:
    sizes = settings.sizes
    command = _make_command(settings, THEIR_MODULE)
    command += ["--disable-log-stats", "--disable-uvicorn-access-log"]
    if not settings.has_weights:
        markers = f'{{"reasoning_start_str": "{START}", "reasoning_end_str": "{END}"}}'
        command += ["--reasoning-config", markers]
    url = _start("vLLM's", command, settings, journal, deadline, servers)
    if url is None:
        return []

    def make(count: int, **fields: Any) -> list[dict[str, Any]]:
        return make_bodies(MODEL_NAME, count, sizes.max_tokens, **fields)

    crowds = [Crowd(VLLM, url, make)]
    if not settings.has_weights:
        # vLLM counts from a marker, which a random model does not write by itself.
        crowds.append(
            Crowd(
                NATIVE,
                url,
                lambda count: make(count, ending=START, thinking_token_budget=sizes.budget),
            )
        )
    return crowds


def _make_command(settings: Settings, module: str) -> list[str]:
    """Return the command of a server, with the engine options that both have."""
    options = make_engine_options(settings, max(settings.sizes.chats))
    command = [sys.executable, "-m", module, "--host", HOST]
    return [*command, "--served-model-name", MODEL_NAME, *to_flags(options)]


def _start(
    name: str,
    command: Sequence[str],
    settings: Settings,
    journal: Journal,
    deadline: Deadline,
    servers: ExitStack,
) -> str | None:
    """Start a server; return its URL, or None if it does not come up."""
    log = settings.output / f"server-{'ours' if name == 'ours' else 'vllm'}.log"
    seconds = min(READY_SECONDS, deadline.seconds_left)
    try:
        # What is left of its engine stays in the stage's session, which the parent kills.
        server = servers.enter_context(
            serve(
                name,
                command,
                log,
                ready_seconds=seconds,
                environment={"VLLM_LOGGING_LEVEL": "INFO"},
            )
        )
    except Exception as error:  # any type; the other server is worth measuring
        traceback.print_exc()
        journal.append(Problem(f"server ({name})", str(error)[:300]))
        return None
    journal.append(Fact(f"server ({name})", f"ready in {server.start_seconds:.0f} s"))
    return server.url


def _warm_up(crowd: Crowd, num_chats: int, journal: Journal) -> bool:
    """Send the crowd once; return whether it is answered."""
    try:
        asyncio.run(send_crowd(crowd.url, crowd.make(num_chats)))
    except Exception as error:  # any type; the other crowds are worth having
        traceback.print_exc()
        journal.append(Problem(f"{crowd.side}, {num_chats} chats", str(error)[:300]))
        return False
    return True
