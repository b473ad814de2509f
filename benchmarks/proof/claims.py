"""What is claimed, what was measured, and whether that shows it.

Knows words and verdicts only; how a number comes about is the experiment's business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

POINT = 0.01  # of a share
ROUNDING = 1e-9  # shares are quotients: 0.97 - 0.95 is not quite 0.02


class Verdict(Enum):
    """Of a claim."""

    SHOWN = "shown"
    NOT_SHOWN = "not shown"

    @classmethod
    def of(cls, is_shown: bool) -> "Verdict":
        """From an answer to "does it hold?"."""
        return cls.SHOWN if is_shown else cls.NOT_SHOWN


@dataclass(frozen=True, slots=True)
class Claim:
    """`text` says what would have to be seen, `measured` what was."""

    text: str
    measured: str
    verdict: Verdict

    def __str__(self) -> str:
        return f"{self.text}: {self.measured}: **{self.verdict.value}**"


def at_most(text: str, share: float, limit: float) -> Claim:
    """That `share` does not exceed `limit`."""
    return Claim(text, percent(share), Verdict.of(share <= limit + ROUNDING))


def at_least(text: str, share: float, limit: float) -> Claim:
    """That `share` reaches `limit`."""
    return Claim(text, percent(share), Verdict.of(share >= limit - ROUNDING))


def largest_drop(shares: Sequence[float]) -> float:
    """How far a later share falls below the best before it; 0 where none does."""
    best, drop = 0.0, 0.0
    for share in shares:
        best = max(best, share)
        drop = max(drop, best - share)
    return drop


def percent(share: float) -> str:
    """One digit after the point."""
    return f"{share * 100:.1f} %"


def points(difference: float) -> str:
    """A difference of shares, with its sign."""
    return f"{difference * 100:+.1f}".replace("-", "−")
