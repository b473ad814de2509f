"""One entry of a file of keys, strictly checked.

Names and types only: whether entries go together is for who reads them all. No message of a
fault quotes a value, which may be a secret in the wrong place.
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
from server.keys.secret import digest_in
from server.settings.quota import Quota

# "other" is what metrics call the keys beyond their bound.
RESERVED_IDS = frozenset({ANONYMOUS_ID, "other"})
_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)


def _as_table(value: Any) -> Any:
    return {"hash": value} if isinstance(value, str) else value


def _as_time(value: Any) -> Any:
    """JSON has no times; TOML has them."""
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("should be a time such as 2030-01-31T00:00:00Z") from None


def _is_free(key_id: str) -> str:
    if key_id in RESERVED_IDS:
        raise ValueError("is a name that the server keeps for itself")
    if key_id.startswith("sk-"):
        raise ValueError("looks like a secret; it should be a name that may be read in logs")
    return key_id


def _is_hash(text: str) -> str:
    digest_in(text)
    return text


Limit = PositiveInt | None


class SecretHash(BaseModel):
    """A secret's hash; from `expires` on it opens nothing."""

    model_config = _STRICT

    hash: Annotated[str, AfterValidator(_is_hash)] = Field(repr=False)
    expires: Annotated[AwareDatetime | None, BeforeValidator(_as_time)] = None


class QuotaEntry(BaseModel):
    """The fields of :class:`~server.keys.key.Quota`."""

    model_config = _STRICT

    requests_per_minute: Limit = None
    requests_per_day: Limit = None
    tokens_per_minute: Limit = None
    tokens_per_day: Limit = None
    reasoning_tokens_per_minute: Limit = None
    reasoning_tokens_per_day: Limit = None


class KeyEntry(BaseModel):
    """One key. Several `hashes`: any of their secrets opens, so that one can be replaced."""

    model_config = _STRICT

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$"), AfterValidator(_is_free)]
    hashes: Annotated[
        list[Annotated[SecretHash, BeforeValidator(_as_table)]], Field(min_length=1, repr=False)
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
        """What its holder may do."""
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
