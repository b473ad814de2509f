"""Usage of a key's quotas at a point in time, and the response headers that report it.

Uses OpenAI's header names and duration format; adds Anthropic's headers for its clients. Knows
no storage.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from server.quotas.kinds import UNITS, QuotaWindow

# Anthropic's clients read these two.
_ANTHROPIC_UNITS = ("requests", "tokens")


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    """Current usage of one quota. `used` includes reservations and may exceed the limit."""

    window: QuotaWindow
    used: int

    @property
    def limit(self) -> int:
        """The limit of the window."""
        return self.window.limit

    @property
    def remaining(self) -> int:
        """The amount that may still be used, at least 0."""
        return max(0, self.limit - self.used)

    @property
    def remaining_share(self) -> float:
        """The share that may still be used, 0 to 1."""
        return self.remaining / self.limit if self.limit else 0.0


def find_tightest(usages: Sequence[QuotaUsage]) -> QuotaUsage:
    """Return the usage with the smallest share left; among equals, that of the longer window."""
    return min(usages, key=lambda s: (s.remaining_share, -s.window.kind.seconds))


def build_quota_headers(
    usages: Sequence[QuotaUsage], now: float, *, for_anthropic: bool
) -> dict[str, str]:
    """Return the rate limit headers of a response; for each unit, those of the tighter window.

    https://platform.openai.com/docs/guides/rate-limits,
    https://docs.anthropic.com/en/api/rate-limits
    """
    headers: dict[str, str] = {}
    for unit in UNITS:
        of_unit = [s for s in usages if s.window.kind.unit == unit]
        if not of_unit:
            continue
        usage, name = find_tightest(of_unit), unit.replace("_", "-")
        headers[f"x-ratelimit-limit-{name}"] = str(usage.limit)
        headers[f"x-ratelimit-remaining-{name}"] = str(usage.remaining)
        headers[f"x-ratelimit-reset-{name}"] = format_duration(usage.window.ends_at - now)
        if for_anthropic and unit in _ANTHROPIC_UNITS:
            headers[f"anthropic-ratelimit-{name}-limit"] = str(usage.limit)
            headers[f"anthropic-ratelimit-{name}-remaining"] = str(usage.remaining)
            headers[f"anthropic-ratelimit-{name}-reset"] = format_time(usage.window.ends_at)
    return headers


def format_duration(seconds: float) -> str:
    """Format a duration as OpenAI does: "20ms", "7s", "1m30s", "23h0m5s"; rounded up."""
    if seconds < 1:
        return f"{max(0, math.ceil(seconds * 1000))}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    return text + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"


def format_time(seconds: float) -> str:
    """Format a time (seconds since 1970) as in RFC 3339, in UTC, whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
