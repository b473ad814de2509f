"""``python -m benchmarks.gpu``: our sampler, engine and server on a GPU, beside vLLM's own.

Runs each stage in a process of its own with a time limit, the one worth most first; results are
written as they come, so that a loan of a quarter of an hour yields what fits into it
(``--minutes 14``). Needs vLLM's CUDA build. ``--device cpu`` is a trial at a tiny size: it shows
that everything runs, and no figure of it says anything about a GPU. The exit status is 1 if a stage
failed, 0 whatever was measured: the verdicts are in the report.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu.machine import describe_machine
from benchmarks.gpu.processes import kill_session
from benchmarks.gpu.random_model import make_random_model
from benchmarks.gpu.records import Journal, Problem, Record, read_journal
from benchmarks.gpu.report import PAGE_NAME, write_report
from benchmarks.gpu.schedule import STAGES, Stage, divide, find_stage
from benchmarks.gpu.settings import Settings

ROOT = Path(__file__).parents[2]
GRACE_SECONDS = 20.0  # of a stage's time, to end what it has begun
MACHINE = "machine"  # the journal of facts that belong to no stage


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stages and return the exit status."""
    parsed = make_parser().parse_args(arguments)
    if parsed.list:
        for stage in STAGES:
            print(f"{stage.name}: {stage.about} (about {stage.usual_seconds:.0f} s on one GPU)")
        return 0
    # A termination from outside has to end the stage too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    begin = time.monotonic()
    settings = prepare(parsed)
    waiting, failed = list(parsed.stages), False
    while waiting:
        seconds = None if parsed.minutes is None else 60 * parsed.minutes - time.monotonic() + begin
        times = divide(waiting, seconds)
        stage = waiting.pop(0)
        journal = Journal(settings.output / f"{stage.name}.jsonl")
        if stage.name in times:
            failed |= not run_stage(stage, settings, journal, times[stage.name])
        else:
            journal.append(Problem(f"stage {stage.name}", "skipped: too little time is left"))
        page = write_report(settings.output, read_records(settings.output), settings.device)
    print(f"\n{page}\nThis is {settings.output / PAGE_NAME}", flush=True)
    return 1 if failed else 0


def prepare(parsed: argparse.Namespace) -> Settings:
    """Make the folder of results and the model; return the settings of all stages."""
    output = parsed.output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    for name in (MACHINE, *(stage.name for stage in STAGES)):
        (output / f"{name}.jsonl").unlink(missing_ok=True)
    model = parsed.model
    if model is None:
        folder = output / "model"
        make_random_model(
            parsed.tokenizer or find_tokenizer(), folder, is_tiny=parsed.device == "cpu"
        )
        model = str(folder)
    settings = Settings(
        model=model,
        output=output,
        device=parsed.device,
        has_weights=parsed.model is not None and not parsed.dummy,
        memory_share=parsed.memory_share,
        engine_options=parsed.engine_options,
    )
    settings.write(output / "settings.json")
    journal = Journal(output / f"{MACHINE}.jsonl")
    for fact in describe_machine(settings.device):
        journal.append(fact)
    return settings


def find_tokenizer() -> Path:
    """Return the folder of the embedded model, whose tokenizer the random model gets."""
    from server.hub.model_resolution import resolve_model

    return Path(resolve_model(None).path_or_hub_id)


def run_stage(stage: Stage, settings: Settings, journal: Journal, seconds: float) -> bool:
    """Run a stage in a process; return whether it ended by itself, without an error."""
    command = [sys.executable, "-m", "benchmarks.gpu.stage_process", stage.name]
    command += [str(settings.output / "settings.json"), str(seconds - GRACE_SECONDS)]
    path = settings.output / f"{stage.name}.log"
    print(f"== {stage.name}: {stage.about}; at most {seconds:.0f} s; log: {path}", flush=True)
    begin = time.monotonic()
    with path.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_list_import_paths())},
            start_new_session=True,
        )
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            kill_session(process)
    print(f"== {stage.name}: status {status}, {time.monotonic() - begin:.0f} s", flush=True)
    if status is None:
        journal.append(Problem(f"stage {stage.name}", f"stopped after {seconds:.0f} s"))
    elif status:
        journal.append(Problem(f"stage {stage.name}", f"ended with status {status}; see {path}"))
    return status == 0


def read_records(folder: Path) -> list[Record]:
    """Return the records of all journals."""
    names = (MACHINE, *(stage.name for stage in STAGES))
    return [record for name in names for record in read_journal(folder / f"{name}.jsonl")]


def _list_import_paths() -> list[str]:
    # The stage runs in whatever folder this process does, and imports the same modules.
    return [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--list", action="store_true", help="list the stages and exit")
    add(
        "--stages",
        type=_parse_stages,
        default=list(STAGES),
        metavar="NAME,…",
        help="only these stages, in this order [all, by worth]",
    )
    add("--minutes", type=float, help="time of the whole run; stages are shortened or left out")
    add("--model", help="folder or hub id [a random model of Qwen3-0.6B's shape]")
    add("--dummy", action="store_true", help="--model has no weights: vLLM draws random ones")
    add("--tokenizer", type=Path, help="folder of the random model's tokenizer [the embedded one]")
    add("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a trial at a tiny size")
    add(
        "--memory-share",
        type=float,
        default=0.4,
        help="of the card, for each of two engines [%(default)s]",
    )
    add(
        "--engine-options",
        type=json.loads,
        default={},
        metavar="JSON",
        help='further options of vLLM for both sides, as {"enforce_eager": true}',
    )
    add(
        "--output",
        type=Path,
        default=ROOT / "build" / "gpu",
        metavar="FOLDER",
        help="results and logs [build/gpu]",
    )
    return parser


def _parse_stages(text: str) -> list[Stage]:
    try:
        return [find_stage(name.strip()) for name in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
