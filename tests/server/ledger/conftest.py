"""Ledgers in SQLite and PostgreSQL, and apps that write them."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from server.ledger.period import ALL_TIME
from server.ledger.row import LedgerRow
from server.ledger.store import LedgerStore, parse_url
from tests.ops.postgres import Postgres, running_postgres
from tests.server.conftest import MODEL, Serve, Served, wants

KEY = "A" * 43 + "="
OTHER_KEY = "B" * 43 + "="
PRICES = """
currency = "USD"
[models.scripted]
prompt = "0.1"
cached_prompt = "0.025"
answer = 0.4
thinking = "0.333333"
"""
PER_TOKEN = {
    "prompt": Decimal("0.0000001"),
    "cached": Decimal("0.000000025"),
    "answer": Decimal("0.0000004"),
    "thinking": Decimal("0.000000333333"),
}
WANTED = "so it is</think>Seven."
OpenLedger = Callable[..., Served]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL."""
    with running_postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    running: Postgres = request.getfixturevalue("postgres")
    return running.create_database()


@pytest.fixture
def prices(tmp_path: Path) -> str:
    """The path of a price list."""
    path = tmp_path / "prices.toml"
    path.write_text(PRICES)
    return str(path)


@pytest.fixture
def serve_billed(
    serve: Serve, url: str, prices: str, monkeypatch: pytest.MonkeyPatch
) -> OpenLedger:
    """Creates apps that price, sign and record."""
    monkeypatch.setenv("THINKING_SERVER_LEDGER_KEYS", KEY)

    def make(source: Any = None, **options: Any) -> Served:
        given = {"ledger": url, "prices": prices, **options}
        return serve(wants(WANTED) if source is None else source, **given)

    return make


def open_store(url: str) -> LedgerStore:
    """Return the database at `url`."""
    return LedgerStore(parse_url(url), 10)


def read_rows(url: str) -> list[LedgerRow]:
    """Return all rows, by time."""
    store = open_store(url)
    try:
        return list(store.read_rows(ALL_TIME.since, ALL_TIME.until))
    finally:
        store.close()


def compute_cost(row: LedgerRow) -> Decimal:
    """Return what the row should cost, by other means than the server's."""
    return (
        (row.prompt_tokens - row.cached_tokens) * PER_TOKEN["prompt"]
        + row.cached_tokens * PER_TOKEN["cached"]
        + row.answer_tokens * PER_TOKEN["answer"]
        + row.thinking_tokens * PER_TOKEN["thinking"]
    )


__all__ = ["MODEL"]
