"""Which tokens accuracy is held against.

Thought by thought, or by all that was generated: the fair one where runs differ in how
many answers they write (a search over thoughts against a single one).
"""

from collections.abc import Sequence
from enum import StrEnum

from clients.evaluation.points import Point
from clients.evaluation.report import Report


class TokenAxis(StrEnum):
    """The horizontal axis of pictures and comparisons."""

    REASONING = "reasoning"
    COMPLETION = "completion"

    @property
    def words(self) -> str:
        """For people."""
        return "tokens of thought" if self is TokenAxis.REASONING else "generated tokens"

    def of(self, point: Point) -> float | None:
        """Where `point` lies; None where the server did not count."""
        if self is TokenAxis.REASONING:
            return point.mean_reasoning_tokens
        return point.mean_completion_tokens

    def within(self, reports: Sequence[Report]) -> "TokenAxis":
        """This axis, or that of all generated tokens where a report lacks its thought's.

        A curve drawn against another kind of tokens than the axis names would lie.
        """
        return self if all(report.counts_thought for report in reports) else TokenAxis.COMPLETION
