"""Errors of the ledger. No message has the password of a URL."""

from server.errors.api import UnavailableError


class LedgerConfigError(ValueError):
    """The ledger cannot be used as configured."""


class LedgerMissingError(LedgerConfigError):
    """The extra `ledger` is not installed."""

    def __init__(self) -> None:
        super().__init__("SQLAlchemy is not installed: pip install 'thinking-server[ledger]'")


class LedgerSchemaError(LedgerConfigError):
    """The database has a schema that this server does not know."""


class LedgerStoreError(Exception):
    """The database did not take or give rows; the message is its own, without values.

    `is_stale`: the connection was lost, and a new one may work.
    """

    def __init__(self, message: str, *, is_stale: bool = False) -> None:
        super().__init__(message)
        self.is_stale = is_stale


class LedgerUnavailableError(UnavailableError):
    """503: what a reply uses cannot be recorded right now."""

    def __init__(self) -> None:
        super().__init__("usage cannot be recorded right now", "ledger_unavailable")
