"""Markdown tables, with the first column left-aligned and numbers right-aligned."""

from collections.abc import Sequence

NOTHING = "–"


def format_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return `rows` under `head`, without a final line end."""
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def format_count(value: float | None) -> str:
    """Return a mean token count as text, whole if it is large; a dash for None."""
    if value is None:
        return NOTHING
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
