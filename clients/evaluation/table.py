"""A report as a Markdown table, readable in a terminal too, with notes."""

from collections.abc import Iterable, Sequence

from clients.evaluation.points import Point
from clients.evaluation.report import Report
from clients.evaluation.request_settings import format_budget

NOTHING = "–"
HEAD = ("budget", "accuracy", "95 % interval", "right", "thought", "completion", "p50 s", "p95 s")


def format_report(report: Report) -> str:
    """Return heading, table, knee and notes."""
    has_cost = any(point.cost is not None for point in report.points)
    head = [*HEAD, *(["cost/1000"] if has_cost else []), "errors"]
    rows = [_format_row(point, has_cost) for point in report.points]
    title = f"{report.label}: {report.tasks.name}, {report.tasks.num_tasks} tasks"
    if report.samples > 1:
        title += f", {report.samples} samples each"
    knee = [f"Knee: {report.knee}."] if report.knee else []
    parts = [
        title,
        format_markdown([head, *rows]),
        *knee,
        *(f"Note: {note}" for note in find_notes(report)),
    ]
    return "\n\n".join(parts) + "\n"


def format_markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return `rows`, the first one the head, as a table with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        _join_cells(cell.rjust(width) for cell, width in zip(r, widths, strict=True)) for r in rows
    ]
    rule = _join_cells("-" * (width - 1) + ":" for width in widths)
    return "\n".join([lines[0], rule, *lines[1:]])


def find_notes(report: Report) -> list[str]:
    """Return the notes that a reader of the numbers should know."""
    found: list[str] = []
    if not report.counts_thought and any(point.replies for point in report.points):
        found.append("the server does not report thinking tokens.")
    for point in report.points:
        found += (
            f"budget {format_budget(point.budget)}: {note}." for note in _find_point_notes(point)
        )
    if report.tasks.broken:
        found.append(f"{len(report.tasks.broken)} lines of the task file are broken.")
    return found


def format_percent(share: float) -> str:
    """Return `share` in percent, with one decimal."""
    return f"{share * 100:.1f} %"


def format_number(value: float | None, digits: int = 1) -> str:
    """Return `value`, or a dash."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def _find_point_notes(point: Point) -> Iterable[str]:
    if point.over_budget:
        yield f"{point.over_budget} of {point.replies} replies exceeded it"
    if point.limited_by:
        causes = ", ".join(f"{count} by {cause}" for cause, count in point.limited_by.items())
        yield f"the server granted less ({causes})"
    if point.cut_short:
        yield f"{point.cut_short} of {point.replies} answers were cut off by the token limit"
    if point.errors:
        yield f"{point.errors} requests failed and are not counted"


def _format_row(point: Point, has_cost: bool) -> list[str]:
    accuracy = point.accuracy
    shares = [NOTHING] * 3
    if accuracy:
        low, high = accuracy.interval
        interval = f"{low * 100:.1f}–{high * 100:.1f} %"
        shares = [format_percent(accuracy.share), interval, f"{accuracy.right}/{accuracy.total}"]
    return [
        format_budget(point.budget),
        *shares,
        format_number(point.mean_reasoning_tokens),
        format_number(point.mean_completion_tokens),
        format_number(point.seconds_p50, 2),
        format_number(point.seconds_p95, 2),
        *([format_number(point.cost_per_1000, 4)] if has_cost else []),
        str(point.errors),
    ]


def _join_cells(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
