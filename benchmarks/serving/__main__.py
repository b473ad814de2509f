"""Our server beside vLLM's and llama.cpp's, on one machine, in one run.

    python -m benchmarks.serving [--model NAME] [--loads 1,8,32,128] [--rounds 3] …

All servers run at once and take turns, so that other load on the machine meets all of them. Writes
``results.json``, ``results.md`` and ``results.png``; prints the tables. Ends with 1 if a server did
not come up, or a reply of ours broke a law.
"""

import argparse
import shlex
import sys
from pathlib import Path

from benchmarks.gpu.laws import LawError
from benchmarks.server_process import ServerError
from benchmarks.serving.report import write_report
from benchmarks.serving.rounds import measure, say
from benchmarks.serving.sides import ELSEWHERE, LLAMA, OURS, VLLM, Plan
from server.hub.model_resolution import DEFAULT_MODEL, EMBEDDED_MODELS, ShippedFolder
from server.process.environment import set_process_defaults


def main() -> int:
    """Measure what the command line says."""
    arguments = _parse_arguments()
    servers = [name for name in (OURS, ELSEWHERE, VLLM, LLAMA) if name in arguments.servers]
    if isinstance(EMBEDDED_MODELS.get(arguments.model), ShippedFolder):
        servers = [name for name in servers if name != LLAMA]  # no GGUF file of it
    plan = Plan(
        model=arguments.model,
        loads=arguments.loads,
        temperatures=arguments.temperatures,
        servers=tuple(servers),
        max_tokens=arguments.max_tokens,
        budget=arguments.budget,
        rounds=arguments.rounds,
        our_options=tuple(shlex.split(arguments.our_options)),
        vllm_options=tuple(shlex.split(arguments.vllm_options)),
    )
    folder: Path = arguments.output
    folder.mkdir(parents=True, exist_ok=True)
    set_process_defaults(needs_hub=False)
    try:
        results = measure(plan, folder)
    except (LawError, ServerError) as error:
        say(f"benchmark: {error}")
        return 1
    print(write_report(folder, plan, results))
    return 1 if results.problems else 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, help="an embedded model")
    parser.add_argument("--loads", type=_split_ints, default=Plan.loads, metavar="N,…")
    parser.add_argument(
        "--temperatures", type=_split_floats, default=Plan.temperatures, metavar="T,…"
    )
    parser.add_argument(
        "--servers", type=lambda text: text.split(","), default=Plan.servers, metavar="NAME,…"
    )
    parser.add_argument("--rounds", type=int, default=Plan.rounds)
    parser.add_argument("--max-tokens", type=int, default=Plan.max_tokens)
    parser.add_argument("--budget", type=int, default=Plan.budget)
    parser.add_argument("--our-options", default="", help="further options of our server")
    parser.add_argument("--vllm-options", default="", help="as --dtype float32 --enforce-eager")
    parser.add_argument("--output", type=Path, default=Path("build/serving"))
    return parser.parse_args()


def _split_ints(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def _split_floats(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
