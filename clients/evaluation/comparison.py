"""Several runs held against the first: at their best, and at equal tokens.

Knows reports only. Differences are of independent runs: for two runs over the same tasks
their intervals are wider than need be, never too narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clients.evaluation.accuracy import Interval, difference_interval
from clients.evaluation.axis import TokenAxis
from clients.evaluation.points import Point
from clients.evaluation.report import Report
from clients.evaluation.request_settings import budget_name
from clients.evaluation.table import markdown, number, percent

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Difference:
    """The best point of a run against the best of the first; shares, tokens as a ratio."""

    accuracy: float
    interval: Interval
    tokens: float | None

    def words(self, label: str, baseline: str, axis: TokenAxis) -> str:
        """One sentence."""
        low, high = self.interval
        tokens = "" if self.tokens is None else f", for {percent(self.tokens)} of its {axis.words}"
        return (
            f"{label} at its best: {self.accuracy * 100:+.1f} points against {baseline} at its "
            f"best (95 %: {low * 100:+.1f} to {high * 100:+.1f}){tokens}."
        )


def comparison_table(reports: Sequence[Report], axis: TokenAxis) -> str:
    """All points of all runs, then a sentence for each run but the first."""
    baseline, axis = reports[0], axis.within(reports)
    head = ["run", "budget", axis.words, "accuracy", "95 % interval", f"{baseline.label} there"]
    rows = [_row(report, point, baseline, axis) for report in reports for point in report.points]
    sentences = [
        difference.words(report.label, baseline.label, axis)
        for report in reports[1:]
        if (difference := best_difference(report, baseline, axis))
    ]
    return "\n\n".join([markdown([head, *rows]), *sentences]) + "\n"


def best_difference(report: Report, baseline: Report, axis: TokenAxis) -> Difference | None:
    """How the best of `report` differs from the best of `baseline`; None: one has none."""
    ours, theirs = best_point(report), best_point(baseline)
    if not (ours and theirs and ours.accuracy and theirs.accuracy):
        return None
    tokens, base_tokens = axis.of(ours), axis.of(theirs)
    return Difference(
        ours.accuracy.share - theirs.accuracy.share,
        difference_interval(ours.accuracy, theirs.accuracy),
        tokens / base_tokens if tokens is not None and base_tokens else None,
    )


def best_point(report: Report) -> Point | None:
    """The most accurate point; the first of equals."""
    scored = [(point.accuracy.share, point) for point in report.points if point.accuracy]
    return max(scored, key=lambda pair: pair[0])[1] if scored else None


def accuracy_at(report: Report, tokens: float, axis: TokenAxis) -> float | None:
    """Accuracy of `report` at so many mean tokens, on the line between its points.

    None outside them: a curve says nothing of what was not measured.
    """
    known = sorted(
        (x, point.accuracy.share)
        for point in report.points
        if point.accuracy and (x := axis.of(point)) is not None
    )
    if not known or not known[0][0] <= tokens <= known[-1][0]:
        return None
    xs, shares = zip(*known, strict=True)
    return float(np.interp(tokens, xs, shares))


def mismatches(reports: Sequence[Report]) -> list[str]:
    """Why a comparison may not be fair."""
    first = reports[0]
    found = []
    for report in reports[1:]:
        if report.tasks.sha256 != first.tasks.sha256:
            found.append(f"{report.label} ran other tasks than {first.label}")
        elif report.tasks.num_tasks != first.tasks.num_tasks:
            found.append(f"{report.label} ran another number of tasks than {first.label}")
        if report.counts_thought != first.counts_thought:
            found.append(f"only one of {report.label} and {first.label} counts its thought")
    return found


def _row(report: Report, point: Point, baseline: Report, axis: TokenAxis) -> list[str]:
    tokens = axis.of(point)
    there = NOTHING
    if report is not baseline and tokens is not None:
        share = accuracy_at(baseline, tokens, axis)
        there = NOTHING if share is None else percent(share)
    shares = [NOTHING] * 2
    if point.accuracy:
        low, high = point.accuracy.interval
        shares = [percent(point.accuracy.share), f"{low * 100:.1f}–{high * 100:.1f} %"]
    return [report.label, budget_name(point.budget), number(tokens), *shares, there]
