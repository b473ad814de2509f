"""The 429 for a request that exceeds a quota: names the quota and when it resets.

Decides nothing: it is given what was refused.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from server.errors.api import ApiError
from server.quotas.usage import QuotaUsage, format_time

# The clients of OpenAI and Anthropic wait no longer than this before they retry.
MAX_CLIENT_WAIT_SECONDS = 60
_LOWER = "lower the thinking budget, the limit of the reply, or the number of choices"


@dataclass(frozen=True, slots=True)
class RefusedQuota:
    """A quota without enough room, and the amount that was requested of it."""

    usage: QuotaUsage
    requested: int

    @property
    def can_ever_fit(self) -> bool:
        """True if the request would fit an unused window."""
        return self.requested <= self.usage.limit


class QuotaExceededError(ApiError):
    """429: a quota is used up, or smaller than what this request may use."""

    def __init__(self, refused: RefusedQuota, now: float) -> None:
        fits = refused.can_ever_fit
        wait = max(1, math.ceil(refused.usage.window.ends_at - now))
        headers = {"retry-after": str(wait)} if fits else {}
        if not fits or wait > MAX_CLIENT_WAIT_SECONDS:
            # Without this header these clients would retry at once, in vain.
            headers["x-should-retry"] = "false"
        is_thinking = refused.usage.window.kind.unit == "reasoning_tokens"
        super().__init__(
            429,
            _describe_exceeded(refused, wait) if fits else _describe_misfit(refused),
            type="rate_limit_error",
            param="max_thinking_tokens" if is_thinking and not fits else None,
            code="quota_exceeded",
            headers=headers,
        )
        self.refused = refused


def pick_refusal(refused: Sequence[RefusedQuota]) -> RefusedQuota:
    """Return the refusal to report: one that can never fit, else the one that resets last."""
    return max(refused, key=lambda r: (not r.can_ever_fit, r.usage.window.ends_at))


def _describe_exceeded(refused: RefusedQuota, wait: int) -> str:
    usage = refused.usage
    return (
        f"quota {usage.window.kind.name} exceeded: its limit is {usage.limit}, "
        f"{usage.used} are used or reserved, and this request may use {refused.requested}; it "
        f"resets in {wait} s ({format_time(usage.window.ends_at)})"
    )


def _describe_misfit(refused: RefusedQuota) -> str:
    usage = refused.usage
    return (
        f"this request can never fit the quota {usage.window.kind.name}: it may use "
        f"{refused.requested}, and the limit is {usage.limit}; {_LOWER}"
    )
