"""Schema of one entry in a key file, strictly validated.

Validates names and types only; does not know the other entries. No validation message quotes a
value, which may be a misplaced secret.
"""

from datetime import datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
)

from server.keys.key import ANONYMOUS_ID, AccessKey
from server.keys.secret import parse_digest
from server.settings.quota import Quota

# "other" is the metric label of all keys beyond the label limit.
RESERVED_IDS = frozenset({ANONYMOUS_ID, "other"})
_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)


def _to_table(value: Any) -> Any:
    return {"hash": value} if isinstance(value, str) else value


def _parse_time(value: Any) -> Any:
    """Parse a time from text, as JSON needs; TOML values are times already."""
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("should be a time such as 2030-01-31T00:00:00Z") from None


def _check_id(key_id: str) -> str:
    if key_id in RESERVED_IDS:
        raise ValueError("is a name reserved by the server")
    if key_id.startswith("sk-"):
        raise ValueError("looks like a secret; it should be a name that may appear in logs")
    return key_id


def _check_hash(text: str) -> str:
    parse_digest(text)
    return text


Limit = PositiveInt | None


class SecretHash(BaseModel):
    """The hash of a secret, which is no longer accepted from `expires` on."""

    model_config = _STRICT

    hash: Annotated[str, AfterValidator(_check_hash)] = Field(repr=False)
    expires: Annotated[AwareDatetime | None, BeforeValidator(_parse_time)] = None


class QuotaEntry(BaseModel):
    """The fields of :class:`~server.settings.quota.Quota`."""

    model_config = _STRICT

    requests_per_minute: Limit = None
    requests_per_day: Limit = None
    tokens_per_minute: Limit = None
    tokens_per_day: Limit = None
    reasoning_tokens_per_minute: Limit = None
    reasoning_tokens_per_day: Limit = None


class KeyEntry(BaseModel):
    """An access key. Any secret of its `hashes` is accepted, so that a secret can be rotated."""

    model_config = _STRICT

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$"), AfterValidator(_check_id)]
    hashes: Annotated[
        list[Annotated[SecretHash, BeforeValidator(_to_table)]], Field(min_length=1, repr=False)
    ]
    models: list[str] | None = None
    max_thinking_tokens: NonNegativeInt | None = None
    show_thoughts: bool = True
    reads_metrics: bool = False
    reads_traces: bool = False
    priority: int = 0
    max_concurrent_requests: Limit = None
    quota: QuotaEntry = QuotaEntry()

    def to_key(self) -> AccessKey:
        """Return the key's permissions and limits."""
        return AccessKey(
            key_id=self.id,
            models=None if self.models is None else tuple(self.models),
            max_thinking_tokens=self.max_thinking_tokens,
            shows_thoughts=self.show_thoughts,
            reads_metrics=self.reads_metrics,
            reads_traces=self.reads_traces,
            priority=self.priority,
            max_concurrent_requests=self.max_concurrent_requests,
            quota=Quota(**self.quota.model_dump()),
        )
