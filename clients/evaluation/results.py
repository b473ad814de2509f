"""Writes the outcomes of a run to files: JSON, Markdown, PNG, and each reply with its score.

Each file is written completely or not at all. Knows no server and no command line.
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
    """Files of one run: one path with several extensions."""

    stem: Path

    @classmethod
    def from_output(cls, output: str) -> "ResultFiles":
        """Return the files for `output`, given with or without ``.json``.

        Raises:
            UsageError: its folder does not exist.
        """
        path = Path(output.removesuffix(".json"))
        if not path.parent.is_dir() or not path.name:
            raise UsageError(f"--output {output}: {path.parent} is not a folder")
        return cls(path)

    def get_path(self, ending: str) -> Path:
        """Return the path with an extension: ``run`` and ``json`` give ``run.json``."""
        return self.stem.with_name(f"{self.stem.name}.{ending}")

    @property
    def journal(self) -> Path:
        """Path of the journal, which stores replies during a run."""
        return self.get_path("journal.jsonl")

    def write(self, ending: str, content: bytes) -> Path:
        """Write one of the files atomically and return its path."""
        path = self.get_path(ending)
        try:
            write_atomically(path, content)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from error
        return path


def format_outcomes(outcomes: Sequence[Outcome]) -> bytes:
    """Return each outcome as a JSON line: the request, the reply and its score."""
    lines = [json.dumps(_to_dict(outcome), ensure_ascii=False) for outcome in outcomes]
    return "".join(f"{line}\n" for line in lines).encode()


def find_request_errors(outcomes: Sequence[Outcome]) -> list[RequestError]:
    """Return the requests that got no reply."""
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


def _to_dict(outcome: Outcome) -> dict[str, Any]:
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
