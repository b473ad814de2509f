"""Options for the ledger and prices (docs/ledger.md)."""

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr
from pydantic_settings import BaseSettings


class LedgerSettings(BaseSettings):
    """Recording of usage, and prices."""

    ledger: SecretStr | None = Field(
        default=None,
        description="Database with a row for each choice of a reply, for bills: "
        "sqlite:///FILE or postgresql://USER@HOST/DATABASE (docs/ledger.md). Put a URL with a "
        "password into the environment variable. Default: none.",
    )
    ledger_timeout_seconds: PositiveFloat = Field(
        default=10.0,
        description="Time that the end of a reply waits for its row; then the reply fails (503).",
    )
    ledger_spool: str | None = Field(
        default=None,
        min_length=1,
        description="File for rows that wait while the ledger does not respond. Default: none; "
        "requests are refused (503) meanwhile.",
    )
    ledger_spool_max_rows: PositiveInt = Field(
        default=100_000,
        description="Maximum number of rows in the spool; then requests are refused (503).",
    )
    prices: str | None = Field(
        default=None,
        min_length=1,
        description="TOML or JSON file of prices per million tokens (docs/ledger.md); responses "
        "then have usage.cost. Default: none.",
    )
