"""Options: who may use the server, and how much of it."""

from dataclasses import fields
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, SecretStr, field_validator
from pydantic_settings import BaseSettings

from server.settings.quota import Quota


class AccessSettings(BaseSettings):
    """Keys and quotas."""

    quota_storage: SecretStr | None = Field(
        default=None,
        description="Where quotas are counted: memory:// (this server alone), or a Redis that "
        "several servers share: redis://, rediss:// or redis+unix:// (docs/quotas.md). A URL "
        "with a password belongs into the environment. Default: memory://.",
    )
    quota_fallback: Literal["refuse", "allow"] = Field(
        default="refuse",
        description="What happens to requests that have a quota while its storage does not "
        "answer: refuse them (503), or allow them, counted by each server alone.",
    )
    quota_timeout_seconds: PositiveFloat = Field(
        default=1.0, description="How long one answer of that storage may take."
    )
    anonymous_quota: dict[str, NonNegativeInt | None] = Field(
        default_factory=dict,
        description='Quota of all callers without a key together, as JSON: {"requests_per_minute": '
        "60}. Fields are those of a key's quota (docs/quotas.md).",
    )

    @field_validator("anonymous_quota")
    @classmethod
    def _has_known_fields(cls, quota: dict[str, int | None]) -> dict[str, int | None]:
        known = [field.name for field in fields(Quota)]
        if unknown := [name for name in quota if name not in known]:
            raise ValueError(f"unknown field {unknown[0]!r}; there are {', '.join(known)}")
        return quota

    keys_file: str | None = Field(
        default=None,
        min_length=1,
        description="TOML or JSON file of keys (docs/keys.md), read again when it changes; also, "
        "or instead, the environment's THINKING_SERVER_KEYS. Default: none, whoever reaches the "
        "server may use it.",
    )
    allow_anonymous: bool = Field(
        default=False,
        description="Serve without keys on addresses that other machines reach, and under any "
        "host name.",
    )
    isolate_prefix_cache: bool = Field(
        default=False,
        description="A prefix cache of its own for each key: how fast an answer comes tells nobody "
        "what other keys have sent. Beginnings that keys share are then computed for each.",
    )
    metrics_access: Literal["key", "open"] = Field(
        default="key",
        description="Who reads /metrics where there are keys: a key with reads_metrics, or anyone.",
    )
