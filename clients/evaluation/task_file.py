"""A file of tasks, one JSON object per line; broken lines are reported and skipped.

Does not know where built-in files are, or how the tasks are used.
"""

import difflib
import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from clients.errors import UsageError
from clients.evaluation.scoring import ScoringError, ScoringRule
from clients.evaluation.task import Task
from clients.evaluation.task_line import TaskLine, TaskLineError, read_line

DEFAULT_GROUP_FIELD = "group"


class BrokenLine(BaseModel):
    """Line, counted from 1, that is not a task, and the reason."""

    line: int
    reason: str


@dataclass(slots=True)
class TaskFile:
    """Tasks and broken lines of a file; `sha256` is of the whole file's bytes.

    `unknown_fields` have no meaning here: metadata, or typing errors.
    """

    name: str
    sha256: str
    tasks: list[Task] = field(default_factory=list)
    broken: list[BrokenLine] = field(default_factory=list)
    unknown_fields: set[str] = field(default_factory=set)

    @property
    def advice(self) -> list[str]:
        """Hints, one for each unknown field that resembles a known one."""
        known = [*TaskLine.model_fields, DEFAULT_GROUP_FIELD]
        guesses = {
            name: difflib.get_close_matches(name, known, n=1, cutoff=0.75)
            for name in sorted(self.unknown_fields)
        }
        return [
            f"field {name!r} is unknown; did you mean {guess[0]!r}?"
            for name, guess in guesses.items()
            if guess
        ]


def read_task_file(
    path: Path,
    default: ScoringRule | None = None,
    group_field: str = DEFAULT_GROUP_FIELD,
) -> TaskFile:
    """Read `path`; `default` scores tasks without their own scoring.

    Raises:
        UsageError: the file cannot be read or has no valid line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    result = TaskFile(path.stem, hashlib.sha256(content).hexdigest())
    seen: dict[str, int] = {}
    for number, text in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if text.strip():
            _add(result, seen, number, text, default or ScoringRule(), group_field)
    if not result.tasks:
        first = (
            f"; line {result.broken[0].line}: {result.broken[0].reason}" if result.broken else ""
        )
        raise UsageError(f"{path}: no line is a task{first}")
    return result


def _add(
    result: TaskFile,
    seen: dict[str, int],
    number: int,
    text: bytes,
    default: ScoringRule,
    group_field: str,
) -> None:
    try:
        line = read_line(text)
        task = line.to_task(number, group_field, default)
        if task.task_id in seen:
            raise TaskLineError(f"id {task.task_id!r} is already used in line {seen[task.task_id]}")
    except (TaskLineError, ScoringError) as error:
        result.broken.append(BrokenLine(line=number, reason=str(error)))
        return
    seen[task.task_id] = number
    result.tasks.append(task)
    result.unknown_fields |= (line.model_extra or {}).keys() - {group_field, DEFAULT_GROUP_FIELD}
