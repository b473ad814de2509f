"""From the outcomes of a run to its files: JSON, Markdown, PNG, and each reply with its score.

All are written whole or not at all. Knows no server and no command line.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.errors import UsageError
from clients.evaluation.atomic_file import write_atomically
from clients.evaluation.reply import Failure, Outcome
from clients.evaluation.report import RequestError


@dataclass(frozen=True, slots=True)
class ResultFiles:
    """The files of one run: one path, several endings."""

    stem: Path

    @classmethod
    def at(cls, output: str) -> "ResultFiles":
        """`output` with or without ``.json``.

        Raises:
            UsageError: its folder is not there.
        """
        path = Path(output.removesuffix(".json"))
        if not path.parent.is_dir() or not path.name:
            raise UsageError(f"--output {output}: {path.parent} is not a folder")
        return cls(path)

    def path(self, ending: str) -> Path:
        """``run`` and ``json`` make ``run.json``."""
        return self.stem.with_name(f"{self.stem.name}.{ending}")

    @property
    def journal(self) -> Path:
        """Where replies are kept while the run goes on."""
        return self.path("journal.jsonl")

    def write(self, ending: str, content: bytes) -> Path:
        """Write one of them, whole."""
        path = self.path(ending)
        try:
            write_atomically(path, content)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from error
        return path


def outcome_lines(outcomes: Sequence[Outcome]) -> bytes:
    """Each outcome as a JSON line: what was asked, what came, and how right it is."""
    lines = [json.dumps(_outcome(outcome), ensure_ascii=False) for outcome in outcomes]
    return "".join(f"{line}\n" for line in lines).encode()


def request_errors(outcomes: Sequence[Outcome]) -> list[RequestError]:
    """The requests that remained without a reply."""
    return [
        RequestError(
            task=outcome.job.task.task_id,
            budget=outcome.job.budget,
            sample=outcome.job.sample,
            reason=outcome.result.reason,
        )
        for outcome in outcomes
        if isinstance(outcome.result, Failure)
    ]


def _outcome(outcome: Outcome) -> dict[str, Any]:
    job, result = outcome.job, outcome.result
    head = {"task": job.task.task_id, "budget": job.budget, "sample": job.sample}
    if job.task.group is not None:
        head["group"] = job.task.group
    if isinstance(result, Failure):
        return {**head, "error": result.reason}
    score = job.task.score(result.text)
    expected = list(job.task.answers)
    return {
        **head,
        "right": score.right,
        "total": score.total,
        "expected": expected[0] if len(expected) == 1 else expected,
        **result.model_dump(),
    }
