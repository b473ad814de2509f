"""A report as a Markdown table that reads well in a terminal too, with what to beware of."""

from collections.abc import Iterable, Sequence

from clients.evaluation.points import Point
from clients.evaluation.report import Report
from clients.evaluation.request_settings import budget_name

NOTHING = "–"
HEAD = ("budget", "accuracy", "95 % interval", "right", "thought", "completion", "p50 s", "p95 s")


def report_table(report: Report) -> str:
    """Heading, table, knee, and warnings."""
    has_cost = any(point.cost is not None for point in report.points)
    head = [*HEAD, *(["cost/1000"] if has_cost else []), "errors"]
    rows = [_row(point, has_cost) for point in report.points]
    title = f"{report.label}: {report.tasks.name}, {report.tasks.num_tasks} tasks"
    if report.samples > 1:
        title += f", {report.samples} samples each"
    knee = [f"Knee: {report.knee}."] if report.knee else []
    parts = [title, markdown([head, *rows]), *knee, *(f"Note: {note}" for note in notes(report))]
    return "\n\n".join(parts) + "\n"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """`rows`, the first one the head, as a table with straight columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_line(cell.rjust(width) for cell, width in zip(r, widths, strict=True)) for r in rows]
    rule = _line("-" * (width - 1) + ":" for width in widths)
    return "\n".join([lines[0], rule, *lines[1:]])


def notes(report: Report) -> list[str]:
    """What a reader of the numbers should know."""
    found: list[str] = []
    if not report.counts_thought and any(point.replies for point in report.points):
        found.append("the server does not tell how many tokens it thought.")
    for point in report.points:
        found += (f"budget {budget_name(point.budget)}: {note}." for note in _point_notes(point))
    if report.tasks.broken:
        found.append(f"{len(report.tasks.broken)} lines of the task file are broken.")
    return found


def percent(share: float) -> str:
    """One digit after the point."""
    return f"{share * 100:.1f} %"


def number(value: float | None, digits: int = 1) -> str:
    """`value`, or a dash."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def _point_notes(point: Point) -> Iterable[str]:
    if point.over_budget:
        yield f"{point.over_budget} of {point.replies} replies thought more than that"
    if point.limited_by:
        causes = ", ".join(f"{count} by {cause}" for cause, count in point.limited_by.items())
        yield f"the server granted less ({causes})"
    if point.cut_short:
        yield f"{point.cut_short} of {point.replies} answers were cut by the reply's limit"
    if point.errors:
        yield f"{point.errors} requests failed and are not counted"


def _row(point: Point, has_cost: bool) -> list[str]:
    accuracy = point.accuracy
    shares = [NOTHING] * 3
    if accuracy:
        low, high = accuracy.interval
        interval = f"{low * 100:.1f}–{high * 100:.1f} %"
        shares = [percent(accuracy.share), interval, f"{accuracy.right}/{accuracy.total}"]
    return [
        budget_name(point.budget),
        *shares,
        number(point.mean_reasoning_tokens),
        number(point.mean_completion_tokens),
        number(point.seconds_p50, 2),
        number(point.seconds_p95, 2),
        *([number(point.cost_per_1000, 4)] if has_cost else []),
        str(point.errors),
    ]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
