"""What ``thinking eval`` wrote: its report, and each reply with its score.

Reads the fields that the experiments need and leaves the others alone. Asks nothing.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class Accuracy(BaseModel):
    """`interval` is of 95 %; `total` answers, of which `right` were."""

    model_config = ConfigDict(frozen=True)

    right: int
    total: int
    share: float
    interval: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.share * 100:.1f} % ({low * 100:.1f}–{high * 100:.1f})"


class Point(BaseModel):
    """One budget; tokens are means a reply."""

    model_config = ConfigDict(frozen=True)

    budget: int
    replies: int
    accuracy: Accuracy
    mean_completion_tokens: float
    mean_reasoning_tokens: float
    stops: dict[str, int] = {}
    limited_by: dict[str, int] = {}
    cut_short: int = 0
    groups: dict[str, Accuracy] = {}

    @property
    def num_cut(self) -> int:
        """Replies whose thought or answer had not come to its own end."""
        by_budget = sum(self.stops.get(cause, 0) for cause in ("budget", "grace", "max_tokens"))
        return max(by_budget, self.cut_short)


class Knee(BaseModel):
    """Smallest budget that is nearly as good as the best."""

    budget: int


class Report(BaseModel):
    """One run of ``thinking eval``."""

    label: str
    points: list[Point]
    knee: Knee | None

    def at(self, budget: int) -> Point:
        """The point of `budget`.

        Raises:
            LookupError: it was not asked at.
        """
        for point in self.points:
            if point.budget == budget:
                return point
        raise LookupError(f"{self.label} was not asked at a budget of {budget}")


@dataclass(frozen=True, slots=True)
class Measured:
    """A run that is over: its report, and what lies beside it."""

    path: Path  # of the report
    report: Report

    def outcomes(self, budget: int) -> list[Mapping[str, Any]]:
        """Each reply at `budget`, as ``thinking eval`` wrote it; in the order of the tasks."""
        path = self.path.with_name(f"{self.path.stem}.outcomes.jsonl")
        lines = path.read_text(encoding="utf-8").splitlines()
        return [outcome for line in lines if (outcome := json.loads(line))["budget"] == budget]

    def by_task(self, budget: int) -> dict[str, float]:
        """The share of each task's answers that were right, over its samples and blanks."""
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for outcome in self.outcomes(budget):
            counts[outcome["task"]][0] += outcome["right"]
            counts[outcome["task"]][1] += outcome["total"]
        return {task: right / total for task, (right, total) in counts.items()}


def read_measured(path: Path) -> Measured:
    """The report at `path`, as ``thinking eval`` has just written it."""
    return Measured(path, Report.model_validate_json(path.read_bytes()))
