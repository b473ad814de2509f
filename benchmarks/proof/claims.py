"""Claims, what was measured, and the verdicts.

Knows texts and verdicts only; the experiments know where a number comes from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

POINT = 0.01  # of a share
ROUNDING = 1e-9  # shares are quotients: 0.97 - 0.95 is not quite 0.02


class Verdict(Enum):
    """Verdict on a claim."""

    SHOWN = "shown"
    NOT_SHOWN = "not shown"

    @classmethod
    def from_bool(cls, is_shown: bool) -> "Verdict":
        """Return SHOWN if `is_shown`, else NOT_SHOWN."""
        return cls.SHOWN if is_shown else cls.NOT_SHOWN


@dataclass(frozen=True, slots=True)
class Claim:
    """Claim: `text` says what has to be observed, `measured` what was."""

    text: str
    measured: str
    verdict: Verdict

    def __str__(self) -> str:
        return f"{self.text}: {self.measured}: **{self.verdict.value}**"


def claim_at_most(text: str, share: float, limit: float) -> Claim:
    """Return the claim that `share` does not exceed `limit`."""
    return Claim(text, format_percent(share), Verdict.from_bool(share <= limit + ROUNDING))


def claim_at_least(text: str, share: float, limit: float) -> Claim:
    """Return the claim that `share` reaches `limit`."""
    return Claim(text, format_percent(share), Verdict.from_bool(share >= limit - ROUNDING))


def find_largest_drop(shares: Sequence[float]) -> float:
    """Return how far a later share falls below the best before it; 0 if none does."""
    best, drop = 0.0, 0.0
    for share in shares:
        best = max(best, share)
        drop = max(drop, best - share)
    return drop


def format_percent(share: float) -> str:
    """Return `share` in percent, with one decimal."""
    return f"{share * 100:.1f} %"


def format_points(difference: float) -> str:
    """Return a difference of shares in points, with its sign."""
    return f"{difference * 100:+.1f}".replace("-", "−")
