"""Accuracy against thinking tokens, with the cost beside it, as a PNG.

One curve per report: one run, or several to compare. Draws what reports hold and computes
nothing; needs no display.
"""

from collections.abc import Sequence
from io import BytesIO
from itertools import cycle
from typing import TYPE_CHECKING

from clients.evaluation.accuracy import Accuracy
from clients.evaluation.axis import TokenAxis
from clients.evaluation.points import Point
from clients.evaluation.report import Report
from clients.evaluation.request_settings import format_budget
from clients.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette, safe for colour-blind readers; markers work without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DPI = 150


def draw(
    reports: Sequence[Report],
    axis: TokenAxis = TokenAxis.REASONING,
    *,
    title: str | None = None,
    with_groups: bool = False,
    is_logarithmic: bool = False,
) -> bytes:
    """Return the picture of one or more `reports`.

    `with_groups` adds a thin curve for each group of tasks.

    Raises:
        UsageError: matplotlib is not installed.
    """
    require("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    axis = axis.choose_for(reports)
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    has_cost = all(point.cost is not None for report in reports for point in report.points)
    styles = zip(reports, cycle(COLOURS), cycle(MARKERS), strict=False)
    for report, colour, marker in styles:
        _draw_accuracy(left, report, axis, colour, marker)
        if with_groups:
            _draw_groups(left, report, axis, colour)
        _draw_cost(right, report, axis, colour, marker, has_cost)
    for axes in (left, right):
        axes.set_xlabel(f"mean {axis.label} per reply")
        axes.grid(alpha=0.3)
        if is_logarithmic:
            axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(left=0)
    left.set_ylabel("accuracy (band: 95 %)")
    left.set_ylim(-0.02, 1.02)
    left.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}".replace("%", " %"))
    right.set_ylabel("cost of 1,000 replies" if has_cost else "mean completion tokens per reply")
    right.set_ylim(bottom=0)
    left.legend(loc="best", fontsize="small")
    figure.suptitle(title or ", ".join(dict.fromkeys(report.tasks.name for report in reports)))
    file = BytesIO()
    # Without the version of matplotlib in it, the same report gives the same bytes.
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


def _draw_accuracy(axes: "Axes", report: Report, axis: TokenAxis, colour: str, marker: str) -> None:
    placed = _place_points(report, axis)
    if not placed:
        return
    xs = [x for x, _, _ in placed]
    axes.plot(
        xs,
        [accuracy.share for _, accuracy, _ in placed],
        color=colour,
        marker=marker,
        label=report.label,
    )
    lows, highs = zip(*(accuracy.interval for _, accuracy, _ in placed), strict=True)
    if len(placed) > 1:
        axes.fill_between(xs, lows, highs, color=colour, alpha=0.15, linewidth=0)
    else:
        axes.vlines(xs, lows, highs, color=colour, alpha=0.5)
    _mark_knee(axes, report, placed, colour)


def _mark_knee(
    axes: "Axes", report: Report, placed: Sequence[tuple[float, Accuracy, Point]], colour: str
) -> None:
    if report.knee is None:
        return
    for x, accuracy, point in placed:
        if point.budget == report.knee.budget:
            axes.axvline(x, color=colour, linestyle=":", alpha=0.6)
            axes.annotate(
                f"knee: {format_budget(point.budget)}",
                (x, accuracy.share),
                xytext=(8, -16),
                textcoords="offset points",
                color=colour,
                fontsize="small",
            )


def _draw_groups(axes: "Axes", report: Report, axis: TokenAxis, colour: str) -> None:
    placed = _place_points(report, axis)
    names = list(dict.fromkeys(name for _, _, point in placed for name in point.groups))
    for index, name in enumerate(names):
        line = [(x, p.groups[name].share) for x, _, p in placed if name in p.groups]
        axes.plot(*zip(*line, strict=True), color=colour, alpha=0.45, linewidth=0.8)
        # Names alternate between the ends of the lines, so that they do not overlap.
        x, y = line[-1] if index % 2 == 0 else line[0]
        axes.annotate(name, (x, y), fontsize="x-small", color=colour, alpha=0.8)


def _draw_cost(
    axes: "Axes", report: Report, axis: TokenAxis, colour: str, marker: str, has_cost: bool
) -> None:
    costs = [
        (x, point.cost_per_1000 if has_cost else point.mean_completion_tokens)
        for x, _, point in _place_points(report, axis)
    ]
    known = [(x, cost) for x, cost in costs if cost is not None]
    if known:
        axes.plot(*zip(*known, strict=True), color=colour, marker=marker, label=report.label)


def _place_points(report: Report, axis: TokenAxis) -> list[tuple[float, Accuracy, Point]]:
    """Return the points that can be drawn, from left to right."""
    placed = [
        (x, point.accuracy, point)
        for point in report.points
        if (x := axis.get_tokens(point)) is not None and point.accuracy is not None
    ]
    return sorted(placed, key=lambda item: item[0])
