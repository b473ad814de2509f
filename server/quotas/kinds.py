"""The six quotas: the unit and period of each, and the window that contains a point in time.

Windows are fixed and aligned to the clock: minutes and days of UTC begin for all keys at once.
Knows no counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from server.settings.quota import Quota

MINUTE_SECONDS = 60
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class QuotaKind:
    """A kind of quota. `name` is a field of :class:`Quota`; `unit` is what is counted."""

    unit: str
    period: str
    seconds: int

    @property
    def name(self) -> str:
        """The name of the field, and on the wire."""
        return f"{self.unit}_per_{self.period}"


UNITS = ("requests", "tokens", "reasoning_tokens")
QUOTA_KINDS = tuple(
    QuotaKind(unit, period, seconds)
    for unit in UNITS
    for period, seconds in (("minute", MINUTE_SECONDS), ("day", DAY_SECONDS))
)


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """A window of one quota of one key; windows are numbered from 1970 (`number`)."""

    key_id: str
    kind: QuotaKind
    limit: int
    number: int

    @property
    def counter(self) -> str:
        """The name of its counter. A changed limit resets nothing: it is not part of the name.

        The braces keep the counters of a key on one node of a Redis cluster.
        """
        return f"quota/{{{self.key_id}}}/{self.kind.name}/{self.number}"

    @property
    def ends_at(self) -> float:
        """The end of the window, in seconds since 1970."""
        return float((self.number + 1) * self.kind.seconds)

    def shift_to(self, now: float) -> "QuotaWindow":
        """Return the window of the same quota that contains `now`, in seconds since 1970."""
        return QuotaWindow(self.key_id, self.kind, self.limit, int(now // self.kind.seconds))


def find_windows(key_id: str, quota: Quota, now: float) -> Iterator[QuotaWindow]:
    """Yield the window at `now` (seconds since 1970) of each quota that has a limit."""
    for kind in QUOTA_KINDS:
        limit = getattr(quota, kind.name)
        if limit is not None:
            yield QuotaWindow(key_id, kind, limit, int(now // kind.seconds))
