"""The answer to a request that its quotas have no room for: a 429 that says which, and when.

Decides nothing: it is told what was refused.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from server.errors.api import ApiError
from server.quotas.standing import QuotaStanding, moment

# The clients of OpenAI and Anthropic wait no longer than this before they ask again.
CLIENTS_WAIT_SECONDS = 60
_LOWER = "lower the thinking budget, the limit of the reply, or the number of choices"


@dataclass(frozen=True, slots=True)
class RefusedQuota:
    """One quota that has no room, and how much was asked of it."""

    standing: QuotaStanding
    asked: int

    @property
    def can_ever_fit(self) -> bool:
        """Whether an unused window would do."""
        return self.asked <= self.standing.limit


class QuotaExceededError(ApiError):
    """429: a quota is used up, or smaller than what this request may use."""

    def __init__(self, refused: RefusedQuota, now: float) -> None:
        fits = refused.can_ever_fit
        wait = max(1, math.ceil(refused.standing.window.ends_at - now))
        headers = {"retry-after": str(wait)} if fits else {}
        if not fits or wait > CLIENTS_WAIT_SECONDS:
            # Their clients would try again at once, in vain.
            headers["x-should-retry"] = "false"
        is_thinking = refused.standing.window.kind.unit == "reasoning_tokens"
        super().__init__(
            429,
            _exceeded(refused, wait) if fits else _never_fits(refused),
            type="rate_limit_error",
            param="max_thinking_tokens" if is_thinking and not fits else None,
            code="quota_exceeded",
            headers=headers,
        )
        self.refused = refused


def worst(refused: Sequence[RefusedQuota]) -> RefusedQuota:
    """The one that counts: a window that can never fit, else the one that ends last."""
    return max(refused, key=lambda r: (not r.can_ever_fit, r.standing.window.ends_at))


def _exceeded(refused: RefusedQuota, wait: int) -> str:
    standing = refused.standing
    return (
        f"quota {standing.window.kind.name} exceeded: its limit is {standing.limit}, "
        f"{standing.used} are used or reserved, and this request may use {refused.asked}; it "
        f"begins anew in {wait} s ({moment(standing.window.ends_at)})"
    )


def _never_fits(refused: RefusedQuota) -> str:
    standing = refused.standing
    return (
        f"this request can never fit the quota {standing.window.kind.name}: it may use "
        f"{refused.asked}, and the limit is {standing.limit}; {_LOWER}"
    )
