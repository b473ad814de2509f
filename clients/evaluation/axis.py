"""Token count that accuracy is plotted against.

Either tokens of thought or all generated tokens. The latter is fair where runs differ in how
many answers they write (a search over thoughts against a single one).
"""

from collections.abc import Sequence
from enum import StrEnum

from clients.evaluation.points import Point
from clients.evaluation.report import Report


class TokenAxis(StrEnum):
    """Horizontal axis of pictures and comparisons."""

    REASONING = "reasoning"
    COMPLETION = "completion"

    @property
    def label(self) -> str:
        """The axis label."""
        return "tokens of thought" if self is TokenAxis.REASONING else "generated tokens"

    def get_tokens(self, point: Point) -> float | None:
        """Return the mean tokens of `point`; None if the server did not count them."""
        if self is TokenAxis.REASONING:
            return point.mean_reasoning_tokens
        return point.mean_completion_tokens

    def choose_for(self, reports: Sequence[Report]) -> "TokenAxis":
        """Return this axis, or that of all generated tokens if a report lacks thinking counts.

        A curve drawn against another kind of tokens than the axis names would be misleading.
        """
        return self if all(report.counts_thought for report in reports) else TokenAxis.COMPLETION
