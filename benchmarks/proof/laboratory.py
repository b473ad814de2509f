"""Where experiments are made: servers to ask, and a folder for what they say.

Runs the command line as a user does. Files lie in a folder a model, named after its weights
too, so that no journal goes on with other weights than it began with. Knows no experiment.
"""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.proof.errors import FailedError
from benchmarks.proof.evaluation import EvalRun, task_file
from benchmarks.proof.report import Measured, read_measured
from benchmarks.proof.servers import SCORER, Servers, folder_of, say


@dataclass(frozen=True, slots=True)
class Laboratory:
    """`limit`: only so many tasks of each set, for trying."""

    servers: Servers
    output: Path
    limit: int | None = None

    def evaluate(self, run: EvalRun) -> Measured:
        """Ask what is not in the run's journal yet.

        Raises:
            SkippedError: a model or the task set is not there.
            FailedError: a server does not come up, or requests remained without a reply.
        """
        task_file(run.tasks)
        models = [run.model, *([SCORER] if run.needs_scorer else [])]
        stem = self.folder(*models) / run.name
        if run.needs_scorer:
            self.servers.serve_scorer()
        url = self.servers.serve(run.model)
        say(f"{run.name}: {run.tasks} at {', '.join(map(str, run.budgets))}")
        self.thinking(run.arguments(url, stem, self.limit))
        # Not with_suffix: names have points of their own.
        return read_measured(stem.with_name(f"{stem.name}.json"))

    def folder(self, *models: str) -> Path:
        """Where what these models say is kept; made if need be.

        Raises:
            SkippedError: one of them is not there.
        """
        names = [f"{model}-{fingerprint(folder_of(model))}" for model in models]
        path = self.output / "+".join(names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def thinking(self, arguments: Sequence[str]) -> str:
        """Run ``thinking`` with `arguments`; what it wrote to standard output.

        Raises:
            FailedError: it did not end with 0.
        """
        command = [sys.executable, "-m", "clients.cli", *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise FailedError(f"thinking {' '.join(arguments)}: status {done.returncode}")
        return done.stdout


def fingerprint(folder: Path) -> str:
    """Eight hexadecimal digits that change with a model's weights or tokenizer."""
    digest = hashlib.sha256()
    for name in ("model.safetensors", "tokenizer.json", "chat_template.jinja"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:8]
