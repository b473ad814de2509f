"""``python -m benchmarks.proof``: regenerate every figure and picture of ``docs/proof.md``.

Starts the servers that it needs, runs the experiments on them, and writes tables, verdicts and
pictures to the page. If it is stopped, the next run resumes. The exit status tells whether all
requested experiments ran, not their results: 1 if something failed.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.proof import (
    answer_gates,
    budget_curve,
    harness,
    mixing,
    search_budgets,
    second_look,
    thought_kinds,
    thought_search,
)
from benchmarks.proof.errors import FailedError, SkippedError
from benchmarks.proof.evaluation import ROOT
from benchmarks.proof.experiment import Experiment
from benchmarks.proof.laboratory import Laboratory
from benchmarks.proof.publication import Publication
from benchmarks.proof.servers import Servers, say

EXPERIMENTS = (
    Experiment("budget", "accuracy against the budget of one thought", budget_curve.run),
    Experiment("gate", "where to think inside an answer", answer_gates.run),
    Experiment("mix", "the weight of a thought in the next token", mixing.run),
    Experiment("wait", "what “Wait,” repairs and spoils", second_look.run),
    Experiment("lm_eval", "lm-evaluation-harness beside thinking eval", harness.run),
    Experiment("search", "searches against one thought, at equal tokens", thought_search.run),
    Experiment(
        "search_budgets", "searches against one thought, at equal budgets", search_budgets.run
    ),
    Experiment("kinds", "written thoughts, pauses, implicit thoughts", thought_kinds.run),
)
PAGE = ROOT / "docs" / "proof.md"
DEFAULT_PORT = 8790


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiments and return the exit status."""
    parsed = _make_parser().parse_args(arguments)
    if parsed.list:
        for experiment in EXPERIMENTS:
            print(f"{experiment.name}: {experiment.about}")
        return 0
    # A termination from outside has to end the servers too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    parsed.output.mkdir(parents=True, exist_ok=True)
    # Results of a few tasks are trials, not figures of the documentation.
    folder = PAGE.parent if parsed.limit is None else parsed.output
    publication = Publication(PAGE, folder / PAGE.name)
    with Servers(parsed.port, parsed.output) as servers:
        laboratory = Laboratory(servers, parsed.output, parsed.limit)
        # A list, not a generator: all experiments run, even if one fails.
        ran = [_try(experiment, laboratory, publication) for experiment in parsed.only]
    return 0 if all(ran) else 1


def _try(experiment: Experiment, laboratory: Laboratory, publication: Publication) -> bool:
    """Run an experiment and return whether it did not fail; a skipped one is reported."""
    try:
        finding = experiment.run(laboratory)
    except SkippedError as reason:
        say(f"{experiment.name}: skipped: {reason}; the page keeps what it has")
        return True
    except FailedError as error:
        say(f"{experiment.name}: failed: {error}")
        return False
    print(f"## {experiment.name}\n\n{publication.publish(experiment.name, finding)}\n", flush=True)
    return True


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proof", description=__doc__)
    parser.add_argument("--list", action="store_true", help="list the experiments and exit")
    parser.add_argument(
        "--only",
        type=_parse_experiments,
        default=list(EXPERIMENTS),
        metavar="NAME,…",
        help="only these experiments [all]",
    )
    parser.add_argument(
        "--limit",
        type=_parse_limit,
        metavar="N",
        help="only N tasks of each set, for trials; page and pictures then go to --output",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "build" / "eval",
        metavar="FOLDER",
        help="reports, journals and logs; remove it to start over [build/eval]",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=DEFAULT_PORT,
        help="port of the server; the scorer uses the next one; journals resume only with the "
        "same port [%(default)s]",
    )
    return parser


def _parse_experiments(text: str) -> list[Experiment]:
    by_name = {experiment.name: experiment for experiment in EXPERIMENTS}
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in by_name:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(by_name)}")
    return [by_name[name] for name in names]


def _parse_limit(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} should be 2 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
