"""Compares runs with the first one: at their best, and at equal tokens.

Knows reports only. Runs are treated as independent: for two runs over the same tasks the
intervals of differences are wider than necessary, never too narrow.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clients.evaluation.accuracy import Interval, compute_difference_interval
from clients.evaluation.axis import TokenAxis
from clients.evaluation.points import Point
from clients.evaluation.report import Report
from clients.evaluation.request_settings import format_budget
from clients.evaluation.table import format_markdown, format_number, format_percent

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Difference:
    """Best point of a run against the best of the first; shares, and tokens as a ratio."""

    accuracy: float
    interval: Interval
    tokens: float | None

    def describe(self, label: str, baseline: str, axis: TokenAxis) -> str:
        """Return the difference as one sentence."""
        low, high = self.interval
        tokens = (
            ""
            if self.tokens is None
            else f", for {format_percent(self.tokens)} of its {axis.label}"
        )
        return (
            f"{label} at its best: {self.accuracy * 100:+.1f} points against {baseline} at its "
            f"best (95 %: {low * 100:+.1f} to {high * 100:+.1f}){tokens}."
        )


def format_comparison(reports: Sequence[Report], axis: TokenAxis) -> str:
    """Return a table of all points of all runs, then a sentence for each run but the first."""
    baseline, axis = reports[0], axis.choose_for(reports)
    head = ["run", "budget", axis.label, "accuracy", "95 % interval", f"{baseline.label} there"]
    rows = [
        _format_row(report, point, baseline, axis) for report in reports for point in report.points
    ]
    sentences = [
        difference.describe(report.label, baseline.label, axis)
        for report in reports[1:]
        if (difference := compute_best_difference(report, baseline, axis))
    ]
    return "\n\n".join([format_markdown([head, *rows]), *sentences]) + "\n"


def compute_best_difference(report: Report, baseline: Report, axis: TokenAxis) -> Difference | None:
    """Return how the best of `report` differs from that of `baseline`; None if either has none."""
    ours, theirs = find_best_point(report), find_best_point(baseline)
    if not (ours and theirs and ours.accuracy and theirs.accuracy):
        return None
    tokens, base_tokens = axis.get_tokens(ours), axis.get_tokens(theirs)
    return Difference(
        ours.accuracy.share - theirs.accuracy.share,
        compute_difference_interval(ours.accuracy, theirs.accuracy),
        tokens / base_tokens if tokens is not None and base_tokens else None,
    )


def find_best_point(report: Report) -> Point | None:
    """Return the most accurate point; the first one of equals."""
    scored = [(point.accuracy.share, point) for point in report.points if point.accuracy]
    return max(scored, key=lambda pair: pair[0])[1] if scored else None


def interpolate_accuracy(report: Report, tokens: float, axis: TokenAxis) -> float | None:
    """Return the accuracy of `report` at `tokens` mean tokens, interpolated between its points.

    None outside them: a curve says nothing about what was not measured.
    """
    known = sorted(
        (x, point.accuracy.share)
        for point in report.points
        if point.accuracy and (x := axis.get_tokens(point)) is not None
    )
    if not known or not known[0][0] <= tokens <= known[-1][0]:
        return None
    xs, shares = zip(*known, strict=True)
    return float(np.interp(tokens, xs, shares))


def find_mismatches(reports: Sequence[Report]) -> list[str]:
    """Return the reasons why a comparison may not be fair."""
    first = reports[0]
    found = []
    for report in reports[1:]:
        if report.tasks.sha256 != first.tasks.sha256:
            found.append(f"{report.label} and {first.label} ran different tasks")
        elif report.tasks.num_tasks != first.tasks.num_tasks:
            found.append(f"{report.label} and {first.label} ran different numbers of tasks")
        if report.counts_thought != first.counts_thought:
            found.append(f"only one of {report.label} and {first.label} reports thinking tokens")
    return found


def _format_row(report: Report, point: Point, baseline: Report, axis: TokenAxis) -> list[str]:
    tokens = axis.get_tokens(point)
    there = NOTHING
    if report is not baseline and tokens is not None:
        share = interpolate_accuracy(baseline, tokens, axis)
        there = NOTHING if share is None else format_percent(share)
    shares = [NOTHING] * 2
    if point.accuracy:
        low, high = point.accuracy.interval
        shares = [format_percent(point.accuracy.share), f"{low * 100:.1f}–{high * 100:.1f} %"]
    return [report.label, format_budget(point.budget), format_number(tokens), *shares, there]
