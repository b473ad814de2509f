"""``thinking verify``: post verdicts on traces whose right answer is known.

Reads the server's traces and posts feedback; the answers come from a file.
"""

import argparse
import asyncio
import sys
from collections import Counter
from pathlib import Path

from clients.connection import Connection
from clients.errors import ExitCode, UsageError
from clients.evaluation.task import Task
from clients.extras import require
from clients.scoring_arguments import add_scoring_arguments, parse_scoring_rule
from clients.traces.reference import Reference, read_reference
from clients.traces.trace import Choice, Trace
from clients.traces.trace_api import TraceApi, add_trace_options, make_trace_connection

DEFAULT_VERIFIER = "thinking verify"
MAX_NAME_LENGTH = 100  # the server's


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the ``verify`` command."""
    parser = subparsers.add_parser(
        "verify",
        help="compare traced answers with known ones and post verdicts",
        description="Read the server's traces, compare their answers with those of a JSONL file "
        "of {prompt, answer}, and post the scores as feedback.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "reference", metavar="FILE.jsonl", help='lines of {"prompt": …, "answer": …}, or tasks'
    )
    add_trace_options(parser)
    add_scoring_arguments(parser.add_argument_group("scoring"))
    parser.add_argument(
        "--verifier",
        default=DEFAULT_VERIFIER,
        metavar="NAME",
        help="name under which the verdicts are stored [%(default)s]",
    )
    parser.add_argument(
        "--again", action="store_true", help="also judge what this verifier has already judged"
    )
    parser.add_argument("--dry-run", action="store_true", help="only count; post nothing")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Post the verdicts and print how many there are of each kind."""
    require("httpx")
    if not 0 < len(arguments.verifier) <= MAX_NAME_LENGTH:
        raise UsageError(f"--verifier: should have 1 to {MAX_NAME_LENGTH} characters")
    path = Path(arguments.reference)
    reference = read_reference(path, parse_scoring_rule(arguments))
    for line, reason in reference.broken:
        print(f"{path}:{line}: {reason}", file=sys.stderr)
    counts = asyncio.run(_verify(make_trace_connection(arguments), reference, arguments))
    kinds = ("right", "partly right", "wrong", "already judged", "without a known answer")
    print(", ".join(f"{counts[kind]} {kind}" for kind in kinds))
    return ExitCode.OK


async def _verify(
    connection: Connection, reference: Reference, arguments: argparse.Namespace
) -> Counter[str]:
    counts: Counter[str] = Counter()
    async with connection.make_http_client() as client:
        api = TraceApi(connection, client)
        async for trace in api.iterate_traces(arguments.since):
            task = reference.tasks.get(trace.question)
            for choice in trace.choices:
                if task is None:
                    counts["without a known answer"] += 1
                elif trace.score(choice.index, arguments.verifier) is not None and (
                    not arguments.again
                ):
                    counts["already judged"] += 1
                else:
                    counts[await _judge(api, trace, choice, task, arguments)] += 1
    return counts


async def _judge(
    api: TraceApi, trace: Trace, choice: Choice, task: Task, arguments: argparse.Namespace
) -> str:
    """Post the verdict on one choice and return its kind."""
    score = task.score(choice.answer)
    share = score.right / score.total
    if not arguments.dry_run:
        body = {"id": trace.id, "choice": choice.index, "score": share}
        await api.give_feedback(body | {"verifier": arguments.verifier})
    return "right" if share == 1 else "partly right" if share else "wrong"
