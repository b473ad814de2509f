"""Settings of one run of ``thinking eval``, as a user would type them.

Knows the command line and starts nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.proof.errors import SkippedError

ROOT = Path(__file__).resolve().parents[2]
TASK_SETS = ROOT / "clients" / "evaluation" / "data"
CONCURRENCY = 32


@dataclass(frozen=True, slots=True)
class EvalRun:
    """Run of ``thinking eval``. `name` names its files; `needs_scorer`: start the reward model."""

    name: str
    tasks: str
    budgets: tuple[int, ...]
    model: str = "thinker"
    temperature: float | None = None
    samples: int = 1
    max_completion_tokens: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    needs_scorer: bool = False

    def to_arguments(self, url: str, output: Path, limit: int | None) -> list[str]:
        """Return the arguments of ``thinking``."""
        given = {
            "--url": url,
            "--model": self.model,
            "--budgets": ",".join(map(str, self.budgets)),
            "--output": output,
            "--label": self.name,
            "--concurrency": CONCURRENCY,
            "--samples": self.samples,
            "--temperature": self.temperature,
            "--max-completion-tokens": self.max_completion_tokens,
            "--limit": limit,
        }
        named = [f"{option}={value}" for option, value in given.items() if value is not None]
        options = [f"--option={name}={json.dumps(value)}" for name, value in self.options.items()]
        extra = [f"--extra={name}={json.dumps(value)}" for name, value in self.extra.items()]
        return ["eval", self.tasks, "--no-picture", *named, *options, *extra]


def find_task_file(name: str) -> Path:
    """Return the file of a built-in task set.

    Raises:
        SkippedError: there is no such set.
    """
    path = TASK_SETS / f"{name}.jsonl"
    if not path.is_file():
        raise SkippedError(f"the task set {name} does not exist")
    return path
