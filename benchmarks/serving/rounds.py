"""Measures rounds: every side once a round, in alternating order, with the laws checked.

Says each figure as it comes. Knows neither tables nor targets.
"""

import asyncio
import itertools
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import aiohttp
import psutil

from benchmarks.server_process import RunningServer, ServerError, sum_memory
from benchmarks.serving.load import send_crowd
from benchmarks.serving.sides import (
    ELSEWHERE,
    OURS,
    Plan,
    Side,
    check,
    list_sides,
    make_bodies,
    start,
)
from benchmarks.streams import ChatError

WARM_UP_TEMPERATURE = 1.0  # at which all that greedy sampling needs is needed too


@dataclass(frozen=True, slots=True)
class Round:
    """A crowd of one side. Times are in milliseconds; None where the side has no such thing.

    `gap_p50` and `gap_p99` are quantiles of the gaps between arrivals with text; `api_cpu` is the
    processor time of the process that speaks HTTP, a generated token. llama.cpp has one process
    for all, and so none.
    """

    side: str
    at_once: int
    temperature: float
    number: int
    tokens_per_second: float
    first_byte: float | None
    first_answer: float | None
    gap_p50: float | None
    gap_p99: float | None
    api_cpu: float | None

    @property
    def place(self) -> tuple[int, float, int]:
        """Load, temperature and number: rounds of other sides in the same place are compared."""
        return self.at_once, self.temperature, self.number


@dataclass(frozen=True, slots=True)
class Start:
    """A server's start, in seconds, and afterwards the largest memory of its processes, in MiB."""

    server: str
    seconds: float
    memory_mib: float


@dataclass(frozen=True, slots=True)
class Results:
    """All that one run measured; `problems` are what it could not."""

    starts: list[Start]
    rounds: list[Round]
    problems: list[str]


def measure(plan: Plan, folder: Path) -> Results:
    """Start the servers, measure all rounds of the plan, end the servers.

    Raises:
        LawError: a reply of ours broke a law.
    """
    results = Results([], [], [])
    with ExitStack() as servers:
        running = dict(_start_all(plan, folder, servers, results.problems))
        sides = [side for side in list_sides(plan) if side.server in running]
        peaks = dict.fromkeys(running, 0.0)
        for at_once in plan.loads:
            _measure_load(plan, sides, running, at_once, results)
            for name, server in running.items():
                peaks[name] = max(peaks[name], sum_memory(server.process))
        for name, server in running.items():
            results.starts.append(Start(name, server.start_seconds, peaks[name]))
    return results


def _measure_load(
    plan: Plan,
    sides: list[Side],
    running: Mapping[str, RunningServer],
    at_once: int,
    results: Results,
) -> None:
    """Measure all rounds of one load. A peer's side that fails is removed from `sides`."""
    crowds = [(WARM_UP_TEMPERATURE, 0)]
    crowds += itertools.product(plan.temperatures, range(1, plan.rounds + 1))
    for temperature, number in crowds:
        for side in sides[::-1] if number % 2 else list(sides):
            try:
                figure = _measure_round(plan, side, running, at_once, temperature, number)
            except ServerError as error:
                if side.server in (OURS, ELSEWHERE):
                    raise
                results.problems.append(f"{at_once} at once: {error}")
                say(str(error))
                sides.remove(side)
                continue
            say(json.dumps(asdict(figure)))
            if number != 0:  # the first crowd warms up
                results.rounds.append(figure)


def _start_all(
    plan: Plan, folder: Path, servers: ExitStack, problems: list[str]
) -> Iterator[tuple[str, RunningServer]]:
    for name in plan.servers:
        say(f"starting {name} …")
        try:
            yield name, servers.enter_context(start(name, plan, folder))
        except (ServerError, FileNotFoundError) as error:
            say(str(error))
            problems.append(str(error))


def _measure_round(
    plan: Plan,
    side: Side,
    running: Mapping[str, RunningServer],
    at_once: int,
    temperature: float,
    number: int,
) -> Round:
    server = running[side.server]
    bodies = make_bodies(plan, side, at_once, temperature, seed=1000 * at_once + number)
    try:
        before = sum(server.process.cpu_times()[:2])
        times = asyncio.run(send_crowd(server.url, bodies))
        cpu = sum(server.process.cpu_times()[:2]) - before
    except (ChatError, aiohttp.ClientError, psutil.NoSuchProcess) as error:
        raise ServerError(f"{side.name}: {error}") from error
    for reply in times.replies:
        check(plan, side, reply)
    has_engine_apart = bool(server.process.children())
    return Round(
        side=side.name,
        at_once=at_once,
        temperature=temperature,
        number=number,
        tokens_per_second=round(times.num_tokens / times.seconds, 1),
        first_byte=_in_ms(times.find_median("first_byte")),
        first_answer=_in_ms(times.find_median("first_answer")),
        gap_p50=_in_ms(times.find_gap(0.5)),
        gap_p99=_in_ms(times.find_gap(0.99)),
        api_cpu=_in_ms(cpu / times.num_tokens) if has_engine_apart else None,
    )


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 3)


def say(line: str) -> None:
    """Print one line to standard error."""
    print(line, file=sys.stderr, flush=True)
