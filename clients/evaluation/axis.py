"""Which tokens accuracy is held against.

Thought by thought, or by all that was generated: the fair one where runs differ in how
many answers they write (a search over thoughts against a single one).
"""

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

    def of(self, point: Point, report: Report) -> float | None:
        """Where `point` of `report` lies.

        A server that counts no thought has a place on this axis all the same: by all that it
        generated, which its thought is part of.
        """
        if self is TokenAxis.REASONING and report.counts_thought:
            return point.mean_reasoning_tokens
        return point.mean_completion_tokens
