"""This tree against an earlier one, in turns: what a change costs requests that do not use it.

    git worktree add ../earlier COMMIT
    python -m benchmarks.earlier ../earlier [--model thinker] [--rounds 5] [--parts steps,tokens]

Steps: microseconds of the logits processors on the CPU (`benchmarks.plain_step`), each time in a
process of its own. Tokens: microseconds of processor time of the API process and of the engine's
for a further token (as `benchmarks.token_cost`), with both trees' servers up at once. Ratios are of
one round, the order alternates; prints medians and the range.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.proof.tables import format_table
from benchmarks.server_process import RunningServer, serve
from benchmarks.serving.rounds import say
from benchmarks.serving.sides import (
    ENVIRONMENT,
    OURS,
    READY_SECONDS,
    Plan,
    list_common_flags,
    list_sides,
)
from benchmarks.token_cost import SHORT, Crowd, compute_cost, measure_crowd

HERE = Path(__file__).parents[1]
STEP_SCRIPT = Path(__file__).with_name("plain_step.py")

Figures = Mapping[str, float]  # of one tree in one round, by what was measured
Pair = tuple[Figures, Figures]  # of the earlier tree and of this one


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("earlier", type=Path, help="a checkout of the earlier commit")
    parser.add_argument("--model", default="thinker")
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--further", type=int, default=400, help="tokens")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", default="steps,tokens")
    arguments = parser.parse_args()
    trees = (arguments.earlier.resolve(), HERE)
    plan = Plan(
        arguments.model,
        loads=(arguments.at_once,),
        servers=(OURS,),
        rounds=arguments.rounds,
        our_options=("--enforce-eager",),
    )
    print(f"{describe_machine()}; {plan.rounds} rounds, microseconds:\n")
    if "steps" in arguments.parts:
        print(compare([take_turns(trees, n, measure_step) for n in range(plan.rounds)]))
    if "tokens" in arguments.parts:
        print(compare(list(measure_tokens(plan, trees, SHORT + arguments.further))))


def take_turns(trees: tuple[Path, Path], number: int, measure: Callable[[Path], Figures]) -> Pair:
    """Measure both trees, the other one first in every second round."""
    earlier, now = trees
    if number % 2:
        later = measure(now)
        return measure(earlier), later
    return measure(earlier), measure(now)


def measure_step(tree: Path) -> Figures:
    """Return the microseconds of a step of a tree's processors."""
    command = [sys.executable, "-P", str(STEP_SCRIPT)]
    done = subprocess.run(
        command, env=os.environ | find_modules_in(tree), check=True, capture_output=True, text=True
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure_tokens(plan: Plan, trees: tuple[Path, Path], num_long: int) -> Iterator[Pair]:
    """Yield the microseconds that a further token costs each tree, round by round.

    Raises:
        ServerError: a server did not come up.
    """
    with ExitStack() as servers, tempfile.TemporaryDirectory() as folder:
        running = {}
        for number, tree in enumerate(trees):
            say(f"starting the server of {tree} …")
            command = [sys.executable, "-P", "-m", "server", "--model", plan.model]
            running[tree] = servers.enter_context(
                serve(
                    OURS,
                    [*command, *list_common_flags(plan), *plan.our_options],
                    Path(folder, f"{number}.log"),
                    ready_seconds=READY_SECONDS,
                    environment=ENVIRONMENT | find_modules_in(tree),
                )
            )
        for number in range(plan.rounds + 1):
            measure = partial(measure_server, plan, running, num_long, number)
            pair = take_turns(trees, number, measure)
            if number:  # the first round warms up
                yield pair


def measure_server(
    plan: Plan, running: Mapping[Path, RunningServer], num_long: int, number: int, tree: Path
) -> Figures:
    """Return what a further token costs the processes of a tree's server, by kind of token."""
    server = running[tree]
    figures: dict[str, float] = {}
    for side in list_sides(plan):
        short, long = (
            measure_crowd(plan, side, server, length, number) for length in (SHORT, num_long)
        )
        own = compute_cost(short, long, plan.loads[0])
        engine = compute_cost(count_engine(short), count_engine(long), plan.loads[0])
        figures[f"API process, {side.kind}"] = own.token
        figures[f"engine, {side.kind}"] = engine.token
    return figures


def count_engine(crowd: Crowd) -> Crowd:
    """Return the crowd with the engine's processor time in place of the API process's."""
    return replace(crowd, seconds=crowd.engine_seconds)


def find_modules_in(tree: Path) -> dict[str, str]:
    """Return the environment in which Python (``-P``) takes our packages from `tree`."""
    return {"PYTHONPATH": str(tree)}


def compare(rounds: Sequence[Pair]) -> str:
    """Return a table of medians, and of the ratios of the rounds."""
    rows = []
    for name in rounds[0][0]:
        earlier, now = ([pair[place][name] for pair in rounds] for place in (0, 1))
        ratios = [b / a for a, b in zip(earlier, now, strict=True)]
        medians = [statistics.median(values) for values in (earlier, now, ratios)]
        spread = f"{medians[2]:.2f} × ({min(ratios):.2f}–{max(ratios):.2f})"
        rows.append([name, f"{medians[0]:.1f}", f"{medians[1]:.1f}", spread])
    return format_table(["", "earlier", "now", "now / earlier"], rows) + "\n"


if __name__ == "__main__":
    main()
