"""Report of a run: the content of the JSON file, from which table and picture are made.

Knows points, not how they were measured; :mod:`.table` and :mod:`.picture` show it.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clients.errors import UsageError
from clients.evaluation.knee import Knee
from clients.evaluation.points import Point
from clients.evaluation.request_settings import Budget
from clients.evaluation.task_file import BrokenLine

FORMAT: Literal["thinking-eval/1"] = "thinking-eval/1"


class RequestError(BaseModel):
    """Request without a reply."""

    task: str
    budget: Budget
    sample: int
    reason: str


class TaskSummary(BaseModel):
    """Tasks of a run; `sha256` is of the whole file, `num_tasks` counts those that ran."""

    name: str
    sha256: str
    num_tasks: int
    broken: list[BrokenLine]


class Report(BaseModel):
    """Report of one run. `settings` are those that all requests share, by option name."""

    model_config = ConfigDict(frozen=True)

    format: Literal["thinking-eval/1"] = FORMAT
    label: str
    created: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    tasks: TaskSummary
    settings: dict[str, Any]
    samples: int
    points: list[Point]
    knee: Knee | None
    knee_share: float
    errors: list[RequestError]

    @property
    def counts_thought(self) -> bool:
        """True if the server reported thinking tokens at every budget."""
        return all(p.mean_reasoning_tokens is not None for p in self.points if p.replies)

    def to_json(self) -> bytes:
        """Return indented JSON with a final line end."""
        return self.model_dump_json(indent=2).encode() + b"\n"


def read_report(path: Path) -> Report:
    """Return the report at `path`.

    Raises:
        UsageError: it cannot be read or is not a report.
    """
    try:
        return Report.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise UsageError(
            f"{path}: not a report of thinking eval ({where}: {problem['msg']})"
        ) from error
