"""Environment of the experiments: servers, and a folder for the results.

Runs the command line as a user does. Each model has a folder that is also named after its
weights, so that no journal is resumed with other weights. Knows no experiment.
"""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.proof.errors import FailedError
from benchmarks.proof.evaluation import EvalRun, find_task_file
from benchmarks.proof.report import Measurement, read_measurement
from benchmarks.proof.servers import SCORER, Servers, find_folder, say


@dataclass(frozen=True, slots=True)
class Laboratory:
    """Servers and output folder; `limit` uses only so many tasks of each set, for trials."""

    servers: Servers
    output: Path
    limit: int | None = None

    def evaluate(self, run: EvalRun) -> Measurement:
        """Evaluate what is not in the run's journal yet.

        Raises:
            SkippedError: a model or the task set does not exist.
            FailedError: a server does not start, or requests got no reply.
        """
        find_task_file(run.tasks)
        models = [run.model, *([SCORER] if run.needs_scorer else [])]
        stem = self.make_folder(*models) / run.name
        if run.needs_scorer:
            self.servers.serve_scorer()
        url = self.servers.serve(run.model)
        say(f"{run.name}: {run.tasks} at {', '.join(map(str, run.budgets))}")
        self.run_thinking(run.to_arguments(url, stem, self.limit))
        # Not with_suffix: names contain dots.
        return read_measurement(stem.with_name(f"{stem.name}.json"))

    def make_folder(self, *models: str) -> Path:
        """Return the folder for the results of these models, created if necessary.

        Raises:
            SkippedError: one of them does not exist.
        """
        names = [f"{model}-{compute_fingerprint(find_folder(model))}" for model in models]
        path = self.output / "+".join(names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def run_thinking(self, arguments: Sequence[str]) -> str:
        """Run ``thinking`` with `arguments` and return its standard output.

        Raises:
            FailedError: its exit status is not 0.
        """
        command = [sys.executable, "-m", "clients.cli", *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise FailedError(f"thinking {' '.join(arguments)}: status {done.returncode}")
        return done.stdout


def compute_fingerprint(folder: Path) -> str:
    """Return eight hexadecimal digits that change with a model's weights or tokenizer."""
    digest = hashlib.sha256()
    for name in ("model.safetensors", "tokenizer.json", "chat_template.jinja"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:8]
