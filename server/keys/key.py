"""Permissions and limits of a key. Records only: reads and checks nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from server.settings.quota import Quota

ANONYMOUS_ID = "anonymous"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key. `key_id` is its public name in logs and metric labels; holds no secret.

    `models` None: all models. `max_thinking_tokens`: ceiling of a choice's budget; None: no
    ceiling. `shows_thoughts`: the holder may see thoughts, if the server shows them at all.
    `reads_traces`: the holder may read and rate the recorded traces of all keys.
    Requests with a higher `priority` leave the queue first. `max_concurrent_requests` None: no
    limit for this key.
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
        """The most tokens that one choice may think: no more than a full quota window holds."""
        ceilings = (
            self.max_thinking_tokens,
            self.quota.reasoning_tokens_per_minute,
            self.quota.reasoning_tokens_per_day,
        )
        return min((ceiling for ceiling in ceilings if ceiling is not None), default=None)

    def may_use(self, model_name: str) -> bool:
        """Return whether the key's holder may use this model, or learn that it exists."""
        return self.models is None or model_name in self.models

    def combine_ceiling(self, ceiling: int | None) -> int | None:
        """Return the lower of the key's ceiling and `ceiling`, the server's; None: no ceiling."""
        ceilings = [c for c in (self.thinking_ceiling, ceiling) if c is not None]
        return min(ceilings, default=None)


# Every caller of a server without keys.
ANONYMOUS = AccessKey(ANONYMOUS_ID, reads_metrics=True)
