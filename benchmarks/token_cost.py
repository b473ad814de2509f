"""``python -m benchmarks.token_cost``: what a further token costs the process that speaks HTTP.

Sends crowds of short and of long replies to our server and to vLLM's, in turns, and takes the
difference: what a request costs, however long it is, cancels out. Thoughts are held open up to
their budget, so that further tokens are hidden, shown or answer as the row says. Prints a table of
medians, in microseconds of processor time. With ``--engine-url``, ours is a front end of that
engine, and measured alone.
"""

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from benchmarks.machine import describe_machine
from benchmarks.server_process import RunningServer
from benchmarks.serving.load import send_crowd
from benchmarks.serving.rounds import say
from benchmarks.serving.sides import (
    HIDDEN,
    OURS,
    PLAIN,
    SHOWN,
    THEIR_BUDGET,
    VLLM,
    Plan,
    Side,
    list_sides,
    make_bodies,
    start,
)

ANSWER_TOKENS = 24  # of a reply that thinks
SHORT, FURTHER = 16, 160  # tokens of a thought, or further tokens of an answer
REFERENCES = {HIDDEN: THEIR_BUDGET, SHOWN: THEIR_BUDGET, PLAIN: PLAIN}

Kind = tuple[str, str]  # server, and kind of its requests


@dataclass(frozen=True, slots=True)
class Crowd:
    """Processor time of the API process and of those below it, in seconds, for one crowd."""

    seconds: float
    num_tokens: int
    engine_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time, in microseconds, of a request's fixed part and of each further token."""

    request: float
    token: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--at-once", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--further", type=int, default=FURTHER, help="how many more tokens the long replies have"
    )
    parser.add_argument("--engine-url", help="measure a front end of the engine at this URL")
    arguments = parser.parse_args()
    plan = Plan(
        arguments.model, loads=(arguments.at_once,), rounds=arguments.rounds, servers=(OURS, VLLM)
    )
    if arguments.engine_url:
        options = ("--engine-url", arguments.engine_url)
        plan = replace(plan, servers=(OURS,), our_options=options)
    print("\n".join(format_table(measure(plan, SHORT + arguments.further), plan)))


def measure(plan: Plan, num_long: int) -> dict[Kind, Cost]:
    """Return the median cost of each side, from crowds of :data:`SHORT` and `num_long` tokens.

    Raises:
        ServerError: a server did not come up.
    """
    costs: dict[Kind, list[Cost]] = {(side.server, side.kind): [] for side in list_sides(plan)}
    with ExitStack() as servers, tempfile.TemporaryDirectory() as folder:
        running = {}
        for name in plan.servers:
            say(f"starting {name} …")
            running[name] = servers.enter_context(start(name, plan, Path(folder)))
        for number in range(plan.rounds + 1):
            for side, cost in _measure_round(plan, running, number, num_long):
                say(f"{side.name}: {cost.request:.0f} a request, {cost.token:.0f} a token")
                if number:  # the first round warms up
                    costs[side.server, side.kind].append(cost)
    return {kind: _find_median(measured) for kind, measured in costs.items()}


def _measure_round(
    plan: Plan, running: Mapping[str, RunningServer], number: int, num_long: int
) -> Iterator[tuple[Side, Cost]]:
    sides = list_sides(plan)
    for side in sides[::-1] if number % 2 else sides:
        short, long = (
            measure_crowd(plan, side, running[side.server], length, number)
            for length in (SHORT, num_long)
        )
        yield side, compute_cost(short, long, plan.loads[0])


def measure_crowd(plan: Plan, side: Side, server: RunningServer, length: int, number: int) -> Crowd:
    """Send a crowd of replies whose thoughts, or further answers, are `length` tokens long."""
    plan = replace(plan, max_tokens=ANSWER_TOKENS + length, budget=length)
    side = next(other for other in list_sides(plan) if other.name == side.name)
    if side.server == OURS and side.kind != PLAIN:
        side = replace(side, fields={**side.fields, "min_thinking_tokens": length})
    bodies = make_bodies(plan, side, plan.loads[0], temperature=0.0, seed=100 * length + number)
    before = read_processor_times(server.process)
    times = asyncio.run(send_crowd(server.url, bodies))
    after = read_processor_times(server.process)
    return Crowd(after[0] - before[0], times.num_tokens, after[1] - before[1])


def read_processor_times(process: psutil.Process) -> tuple[float, float]:
    """Return the processor time of a process, and of all below it, in seconds."""
    below = process.children(recursive=True)
    return _sum_times(process), sum(_sum_times(child) for child in below)


def _sum_times(process: psutil.Process) -> float:
    return float(sum(process.cpu_times()[:2]))


def compute_cost(short: Crowd, long: Crowd, num_requests: int) -> Cost:
    """Return the cost of which both crowds, of `num_requests` each, are the sum."""
    token = (long.seconds - short.seconds) / (long.num_tokens - short.num_tokens)
    request = (short.seconds - token * short.num_tokens) / num_requests
    return Cost(1e6 * request, 1e6 * token)


def _find_median(costs: list[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.request for cost in costs),
        statistics.median(cost.token for cost in costs),
    )


def format_table(costs: Mapping[Kind, Cost], plan: Plan) -> Iterator[str]:
    """Yield the lines of a Markdown table; ratios are to vLLM's token of the same kind."""
    yield f"{describe_machine()}; {plan.model}, {plan.loads[0]} at once, {plan.rounds} rounds:"
    yield ""
    yield "| side | a request, µs | a further token, µs | of vLLM's |"
    yield "|---|--:|--:|--:|"
    for (server, kind), cost in costs.items():
        ratio = "–"
        if server == OURS and VLLM in plan.servers:
            ratio = f"{cost.token / costs[VLLM, REFERENCES[kind]].token:.2f} ×"
        yield f"| {server}, {kind} | {cost.request:,.0f} | {cost.token:.0f} | {ratio} |"


if __name__ == "__main__":
    main()
