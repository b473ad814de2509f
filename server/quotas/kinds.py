"""The six quotas: what each counts, over how long, and in which window a moment lies.

Windows are fixed and lie on the clock: minutes and days of UTC begin for all keys at once.
Knows no counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from server.settings.quota import Quota

MINUTE_SECONDS = 60
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class QuotaKind:
    """One quota. `name` is the field of :class:`Quota`, `unit` what it counts."""

    unit: str
    period: str
    seconds: int

    @property
    def name(self) -> str:
        """Of the field, and on the wire."""
        return f"{self.unit}_per_{self.period}"


UNITS = ("requests", "tokens", "reasoning_tokens")
QUOTA_KINDS = tuple(
    QuotaKind(unit, period, seconds)
    for unit in UNITS
    for period, seconds in (("minute", MINUTE_SECONDS), ("day", DAY_SECONDS))
)


@dataclass(frozen=True, slots=True)
class QuotaWindow:
    """One quota of one key in one of its windows; `number` counts them since 1970."""

    key_id: str
    kind: QuotaKind
    limit: int
    number: int

    @property
    def counter(self) -> str:
        """Name of its counter. The limit isn't part of it: a changed one begins nothing anew.

        The braces keep the counters of a key together in a cluster of Redis.
        """
        return f"quota/{{{self.key_id}}}/{self.kind.name}/{self.number}"

    @property
    def ends_at(self) -> float:
        """Seconds since 1970."""
        return float((self.number + 1) * self.kind.seconds)

    def at(self, now: float) -> "QuotaWindow":
        """The same quota's window at another time."""
        return QuotaWindow(self.key_id, self.kind, self.limit, int(now // self.kind.seconds))


def windows_of(key_id: str, quota: Quota, now: float) -> Iterator[QuotaWindow]:
    """The windows at `now` (seconds since 1970) of all quotas that have a limit."""
    for kind in QUOTA_KINDS:
        limit = getattr(quota, kind.name)
        if limit is not None:
            yield QuotaWindow(key_id, kind, limit, int(now // kind.seconds))
