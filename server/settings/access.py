"""Options for authentication and quotas."""

from dataclasses import fields
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, SecretStr, field_validator
from pydantic_settings import BaseSettings

from server.settings.quota import Quota


class AccessSettings(BaseSettings):
    """Keys, quotas, and budgets of turns."""

    quota_storage: SecretStr | None = Field(
        default=None,
        description="Storage for quota counters: memory:// (this server only), or a Redis that "
        "several servers share: redis://, rediss:// or redis+unix:// (docs/quotas.md). Put a URL "
        "with a password into the environment variable. Default: memory://.",
    )
    quota_fallback: Literal["refuse", "allow"] = Field(
        default="refuse",
        description="How to handle requests with a quota or a turn while the quota storage does "
        "not respond: refuse them (503), or allow them and let each server count separately.",
    )
    quota_timeout_seconds: PositiveFloat = Field(
        default=1.0, description="Timeout for a response of the quota storage."
    )
    turn_ttl_seconds: float = Field(
        default=3600.0,
        ge=60,
        description="Time after its last use at which the budget of a turn is forgotten "
        "(docs/turns.md).",
    )
    anonymous_quota: dict[str, NonNegativeInt | None] = Field(
        default_factory=dict,
        description='Quota shared by all callers without a key, as JSON: {"requests_per_minute": '
        "60}. The fields are those of a key's quota (docs/quotas.md).",
    )

    @field_validator("anonymous_quota")
    @classmethod
    def _check_quota_fields(cls, quota: dict[str, int | None]) -> dict[str, int | None]:
        known = [field.name for field in fields(Quota)]
        if unknown := [name for name in quota if name not in known]:
            raise ValueError(f"unknown field {unknown[0]!r}; known fields: {', '.join(known)}")
        return quota

    keys_file: str | None = Field(
        default=None,
        min_length=1,
        description="TOML or JSON file of API keys (docs/keys.md), reloaded when it changes. Keys "
        "in the environment variable THINKING_SERVER_KEYS are accepted as well. Default: no keys; "
        "anyone who can reach the server may use it.",
    )
    allow_anonymous: bool = Field(
        default=False,
        description="Serve without keys on addresses that other machines can reach, and under "
        "any host name.",
    )
    isolate_prefix_cache: bool = Field(
        default=False,
        description="Use a separate prefix cache for each key, so that response times reveal "
        "nothing about other keys' prompts. A prefix that keys share is computed once per key.",
    )
    metrics_access: Literal["key", "open"] = Field(
        default="key",
        description="Who may read /metrics if there are keys: keys with reads_metrics, or anyone.",
    )
