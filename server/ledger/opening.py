"""Creates the ledger that the settings configure."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from server.ledger.errors import LedgerConfigError, LedgerMissingError, LedgerStoreError
from server.ledger.ledger import Ledger
from server.ledger.metrics import LedgerMetrics
from server.ledger.prices import read_prices
from server.ledger.signing import KEYS_VARIABLE, RowSigner
from server.ledger.spool import Spool
from server.ledger.writer import LedgerWriter
from server.settings.settings import ServerSettings


def open_ledger(settings: ServerSettings, registry: CollectorRegistry) -> Ledger | None:
    """Return the ledger; None: neither a ledger nor prices are configured.

    Raises:
        LedgerConfigError, PriceFileError, LedgerKeyError: it cannot be kept as configured.
    """
    metrics = LedgerMetrics(registry)
    signer = RowSigner.from_environment()
    if settings.ledger is None:
        if settings.ledger_spool is not None:
            raise LedgerConfigError("--ledger-spool: is of use with --ledger only")
        if signer.has_keys:
            raise LedgerConfigError(f"{KEYS_VARIABLE}: is of use with --ledger only")
    prices = None if settings.prices is None else read_prices(settings.prices)
    writer = None
    if settings.ledger is not None:
        writer = _open_writer(settings, settings.ledger.get_secret_value(), metrics)
    if prices is None and writer is None:
        return None
    return Ledger(prices, signer, writer)


def _open_writer(settings: ServerSettings, url: str, metrics: LedgerMetrics) -> LedgerWriter:
    try:
        from server.ledger.store import LedgerStore, parse_url
    except ModuleNotFoundError as error:
        if error.name != "sqlalchemy":
            raise
        raise LedgerMissingError from None
    seconds, spool = settings.ledger_timeout_seconds, None
    if settings.ledger_spool is not None:
        spool = Spool(Path(settings.ledger_spool), settings.ledger_spool_max_rows)
    try:
        # So that two tries fit into the time that a reply waits.
        store = LedgerStore(parse_url(url), seconds / 2)
        writer = LedgerWriter(store, spool, metrics, seconds)
        writer.start()
    except LedgerStoreError as error:
        raise LedgerConfigError(str(error)) from None
    return writer
