"""Options: who may use the server, and how much of it."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class AccessSettings(BaseSettings):
    """Keys and quotas."""

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
    metrics_access: Literal["key", "open"] = Field(
        default="key",
        description="Who reads /metrics where there are keys: a key with reads_metrics, or anyone.",
    )
