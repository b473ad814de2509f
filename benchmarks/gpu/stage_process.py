"""Process of one stage: ``python -m benchmarks.gpu.stage_process NAME SETTINGS SECONDS``.

Started by :mod:`benchmarks.gpu` only, so that a stage that hangs, crashes or leaves the device in
a bad state takes nothing else with it.
"""

import importlib
import sys
from pathlib import Path

from benchmarks.gpu.records import Journal
from benchmarks.gpu.schedule import find_stage
from benchmarks.gpu.settings import Deadline, read_settings, set_runner_environment


def main() -> None:
    """Run the stage."""
    name, settings_path, seconds = sys.argv[1:]
    deadline = Deadline(float(seconds))
    settings = read_settings(Path(settings_path))
    set_runner_environment(settings)
    # After the environment is set: this imports vLLM.
    stage = importlib.import_module(f"benchmarks.gpu.{find_stage(name).name}")
    stage.run(settings, Journal(settings.output / f"{name}.jsonl"), deadline)


if __name__ == "__main__":
    main()
