"""How a key stands with its quotas at a moment, and how that is told in headers.

OpenAI's names and its way of writing durations; Anthropic's beside them where its clients
ask. Knows no storage.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from server.quotas.kinds import UNITS, QuotaWindow

# Anthropic's clients know these two.
_ANTHROPIC_UNITS = ("requests", "tokens")


@dataclass(frozen=True, slots=True)
class QuotaStanding:
    """One quota now. `used` counts what is reserved too, and may be over the limit."""

    window: QuotaWindow
    used: int

    @property
    def limit(self) -> int:
        """Of the window."""
        return self.window.limit

    @property
    def remaining(self) -> int:
        """What may still be used, never below 0."""
        return max(0, self.limit - self.used)

    @property
    def remaining_share(self) -> float:
        """0 to 1."""
        return self.remaining / self.limit if self.limit else 0.0


def tightest(standings: Sequence[QuotaStanding]) -> QuotaStanding:
    """The one with the least share left; of equals, the one of the longer window."""
    return min(standings, key=lambda s: (s.remaining_share, -s.window.kind.seconds))


def quota_headers(
    standings: Sequence[QuotaStanding], now: float, *, for_anthropic: bool
) -> dict[str, str]:
    """Headers of a response; for each unit, those of the tighter window.

    https://platform.openai.com/docs/guides/rate-limits,
    https://docs.anthropic.com/en/api/rate-limits
    """
    headers: dict[str, str] = {}
    for unit in UNITS:
        of_unit = [s for s in standings if s.window.kind.unit == unit]
        if not of_unit:
            continue
        standing, name = tightest(of_unit), unit.replace("_", "-")
        headers[f"x-ratelimit-limit-{name}"] = str(standing.limit)
        headers[f"x-ratelimit-remaining-{name}"] = str(standing.remaining)
        headers[f"x-ratelimit-reset-{name}"] = duration(standing.window.ends_at - now)
        if for_anthropic and unit in _ANTHROPIC_UNITS:
            headers[f"anthropic-ratelimit-{name}-limit"] = str(standing.limit)
            headers[f"anthropic-ratelimit-{name}-remaining"] = str(standing.remaining)
            headers[f"anthropic-ratelimit-{name}-reset"] = moment(standing.window.ends_at)
    return headers


def duration(seconds: float) -> str:
    """As OpenAI writes it: "20ms", "7s", "1m30s", "23h0m5s"; rounded up."""
    if seconds < 1:
        return f"{max(0, math.ceil(seconds * 1000))}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    return text + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"


def moment(seconds: float) -> str:
    """A time (since 1970) as RFC 3339 has it, in UTC, whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
