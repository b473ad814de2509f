"""``python -m benchmarks.faults``: a crowd of good and bad clients, and an engine that is killed.

Starts its own server on the thinker, under a supervisor. Exits with 1 if a request was lost,
answered wrongly, or left something behind. ``--publish`` writes docs/endurance.md.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from benchmarks.faults.crowd import Plan, Result, run
from benchmarks.faults.report import format_report, is_sound
from benchmarks.faults.supervised import SupervisedServer, run_supervised
from benchmarks.proof.machine import describe_provenance

PAGE = Path("docs/endurance.md")
BEGIN, END = "<!-- begin run -->\n", "<!-- end run -->\n"
SHOWN_FAULTS = 20


def main() -> int:
    """Run the crowd and return the exit status."""
    arguments = _make_parser().parse_args()
    plan = Plan(
        num_clients=arguments.clients,
        seconds=arguments.seconds,
        kill_after=None if arguments.no_kill else 0.5,
        model="thinker",
        seed=arguments.seed,
    )
    arguments.log.parent.mkdir(parents=True, exist_ok=True)
    server = SupervisedServer(arguments.port, arguments.log, ["--model", "thinker"])
    result = asyncio.run(_run(server, plan))
    text = format_report(plan, result, server)
    print(text)
    for fault in result.tally.faults[:SHOWN_FAULTS]:
        print(f"  {fault}", file=sys.stderr)
    if arguments.publish:
        _publish(f"{describe_provenance(_format_command())}\n\n{text}\n")
    return 0 if is_sound(result) else 1


async def _run(server: SupervisedServer, plan: Plan) -> Result:
    async with run_supervised(server):
        return await run(server, plan)


def _publish(text: str) -> None:
    page = PAGE.read_text()
    head, _, rest = page.partition(BEGIN)
    PAGE.write_text(head + BEGIN + text + END + rest.partition(END)[2])


def _format_command() -> str:
    return " ".join(["python -m benchmarks.faults", *sys.argv[1:]])


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--port", type=int, default=8410)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--no-kill", action="store_true", help="do not kill the engine")
    parser.add_argument("--log", type=Path, default=Path(".cache/faults/server.log"))
    parser.add_argument("--publish", action="store_true", help=f"write {PAGE}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
