"""What the holder of a key may do. Records: nothing is read or checked here."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from server.settings.quota import Quota

ANONYMOUS_ID = "anonymous"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One key. `key_id` is its public name, in logs and metric labels; the secret is not here.

    `models` None: all. `max_thinking_tokens` is the ceiling of a choice's budget; None: none.
    `shows_thoughts`: whether its holder may see thoughts, where the server shows them at all.
    `reads_traces`: whether it may read and judge what was kept of all keys' requests.
    Requests with a higher `priority` leave the queue first. `max_concurrent_requests` None: no
    limit of its own.
    """

    key_id: str
    models: Sequence[str] | None = None
    max_thinking_tokens: int | None = None
    shows_thoughts: bool = True
    reads_metrics: bool = False
    reads_traces: bool = False
    priority: int = 0
    max_concurrent_requests: int | None = None
    quota: Quota = field(default_factory=Quota)

    @property
    def thinking_ceiling(self) -> int | None:
        """The most that one choice may think: no more than a whole window of its quota has."""
        ceilings = (
            self.max_thinking_tokens,
            self.quota.reasoning_tokens_per_minute,
            self.quota.reasoning_tokens_per_day,
        )
        return min((ceiling for ceiling in ceilings if ceiling is not None), default=None)

    def may_use(self, model_name: str) -> bool:
        """Whether its holder may know of this model."""
        return self.models is None or model_name in self.models

    def ceiling_under(self, ceiling: int | None) -> int | None:
        """The lower of its own ceiling and the server's."""
        ceilings = [c for c in (self.thinking_ceiling, ceiling) if c is not None]
        return min(ceilings, default=None)


# Whoever comes where no keys are configured.
ANONYMOUS = AccessKey(ANONYMOUS_ID, reads_metrics=True)
