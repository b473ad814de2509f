"""Results of ``thinking eval``: its report, and each reply with its score.

Reads the fields that the experiments need and ignores the others. Sends no requests.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class Accuracy(BaseModel):
    """Share of right answers with its interval of 95 % confidence."""

    model_config = ConfigDict(frozen=True)

    right: int
    total: int
    share: float
    interval: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.share * 100:.1f} % ({low * 100:.1f}–{high * 100:.1f})"


class Point(BaseModel):
    """Results at one budget; tokens are means per reply."""

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
        """Number of replies whose thought or answer was cut off."""
        by_budget = sum(self.stops.get(cause, 0) for cause in ("budget", "grace", "max_tokens"))
        return max(by_budget, self.cut_short)


class Knee(BaseModel):
    """Smallest budget that is nearly as good as the best."""

    budget: int


class Report(BaseModel):
    """Report of one run of ``thinking eval``."""

    label: str
    points: list[Point]
    knee: Knee | None

    def get_point(self, budget: int) -> Point:
        """Return the point of `budget`.

        Raises:
            LookupError: it was not measured.
        """
        for point in self.points:
            if point.budget == budget:
                return point
        raise LookupError(f"{self.label} was not measured at a budget of {budget}")


@dataclass(frozen=True, slots=True)
class Measurement:
    """Finished run: its report, and the files beside it."""

    path: Path  # of the report
    report: Report

    def read_outcomes(self, budget: int) -> list[Mapping[str, Any]]:
        """Return each reply at `budget`, as ``thinking eval`` wrote it, in task order."""
        path = self.path.with_name(f"{self.path.stem}.outcomes.jsonl")
        lines = path.read_text(encoding="utf-8").splitlines()
        return [outcome for line in lines if (outcome := json.loads(line))["budget"] == budget]

    def compute_task_shares(self, budget: int) -> dict[str, float]:
        """Return each task's share of right answers, over its samples and blanks."""
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for outcome in self.read_outcomes(budget):
            counts[outcome["task"]][0] += outcome["right"]
            counts[outcome["task"]][1] += outcome["total"]
        return {task: right / total for task, (right, total) in counts.items()}


def read_measurement(path: Path) -> Measurement:
    """Return the report at `path`, as ``thinking eval`` has just written it."""
    return Measurement(path, Report.model_validate_json(path.read_bytes()))
