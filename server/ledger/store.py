"""The ledger's database: SQLite or PostgreSQL, through SQLAlchemy. Synchronous.

One store is used by one thread. Does not know when rows are written, nor by whom.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Insert,
    Select,
    create_engine,
    event,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from server.ledger.errors import LedgerConfigError, LedgerSchemaError, LedgerStoreError
from server.ledger.prices import EXACT
from server.ledger.row import LedgerRow, format_decimal
from server.ledger.schema import LEDGER, SCHEMA, check_schema, prepare_schema

FILE_MODE = 0o600
# libpq's shortest.
MIN_CONNECT_SECONDS = 2


def parse_url(text_: str) -> URL:
    """Return the database's URL, with the driver that we have.

    Raises:
        LedgerConfigError: it is malformed, or another kind of database. Does not quote it.
    """
    kinds = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"
    try:
        url = make_url(text_)
    except (ArgumentError, ValueError):
        raise LedgerConfigError(f"the URL should be {kinds}") from None
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in ("sqlite", "sqlite+pysqlite") and url.database not in (
        None,
        "",
        ":memory:",
    ):
        return url.set(drivername="sqlite+pysqlite")
    raise LedgerConfigError(f"the URL should be {kinds}")


class LedgerStore:
    """The database at a URL. Connects with the first call. No `repr` shows a password.

    `seconds` is the longest that a connection or a statement may take.
    """

    def __init__(self, url: URL, seconds: float) -> None:
        self._url = url
        self._milliseconds = int(seconds * 1000)
        self._is_prepared = False
        self._engine = _create_engine(url, seconds)

    @property
    def is_file(self) -> bool:
        """True for SQLite."""
        return self._engine.dialect.name == "sqlite"

    def prepare(self) -> None:
        """Create the tables if they are missing; a second call does nothing.

        Raises:
            LedgerSchemaError: the schema's version is unknown.
            LedgerStoreError: the database does not respond.
        """
        if self._is_prepared:
            return
        if self.is_file:
            self._make_private()
        with self._open_transaction() as connection:
            prepare_schema(connection)
        self._is_prepared = True

    def insert(self, rows: Sequence[LedgerRow]) -> None:
        """Write `rows` in one transaction; those that are there already stay as they are.

        Without rows, tries whether the database can be written to.

        Raises:
            LedgerStoreError: nothing was written, or it is unknown whether anything was.
            LedgerSchemaError: see :meth:`prepare`.
        """
        self.prepare()
        try:
            self._insert(rows)
        except LedgerStoreError as error:
            if not error.is_stale:
                raise
            self._insert(rows)

    def _insert(self, rows: Sequence[LedgerRow]) -> None:
        with self._open_transaction() as connection:
            if rows:
                connection.execute(self._build_insert(), [_to_values(row) for row in rows])
            else:
                connection.execute(SCHEMA.update().values(version=SCHEMA.c.version))

    def check(self) -> None:
        """Check that the database has a ledger; create nothing.

        Raises:
            LedgerSchemaError, LedgerStoreError: it has none, or does not respond.
        """
        if self.is_file and not Path(self._url.database or "").is_file():
            raise LedgerSchemaError(f"there is no file {self._url.database}")
        with self._open_transaction() as connection:
            check_schema(connection)

    def read_rows(self, since: datetime, until: datetime) -> Iterator[LedgerRow]:
        """Yield the rows of a period, by time."""
        query = _between(select(LEDGER), since, until)
        yield from self._read(query.order_by(LEDGER.c.time, LEDGER.c.request_id, LEDGER.c.choice))

    def find_signed(self, signature: str) -> LedgerRow | None:
        """Return the row that has `signature`, if there is one."""
        return next(iter(self._read(select(LEDGER).where(LEDGER.c.signature == signature))), None)

    def find(self, request_id: str, choice: int) -> LedgerRow | None:
        """Return the row of a choice, if there is one."""
        query = select(LEDGER).where(LEDGER.c.request_id == request_id, LEDGER.c.choice == choice)
        return next(iter(self._read(query)), None)

    def sum_up(self, by: str, since: datetime, until: datetime) -> list[dict[str, Any]]:
        """Return sums of a period by "key", "model" or "day" (UTC), and by currency."""
        group = self._get_group(by)
        add_up = func.decimal_sum if self.is_file else func.sum
        counts = [
            func.sum(LEDGER.c[name]).label(name)
            for name in ("prompt_tokens", "cached_tokens", "answer_tokens", "thinking_tokens")
        ]
        replies = func.count(LEDGER.c.request_id.distinct()).label("replies")
        choices = func.count().label("choices")
        query = select(
            group.label(by), replies, choices, *counts, add_up(LEDGER.c.cost).label("cost")
        )
        query = _between(query.add_columns(LEDGER.c.currency), since, until)
        query = query.group_by(group, LEDGER.c.currency).order_by(group, LEDGER.c.currency)
        with self._open_transaction() as connection:
            found = connection.execute(query).mappings().all()
        return [_to_sums(row) for row in found]

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _read(self, query: Select[Any]) -> Iterator[LedgerRow]:
        with self._open_transaction() as connection:
            for row in connection.execution_options(yield_per=1000).execute(query).mappings():
                yield LedgerRow(**row)

    def _get_group(self, by: str) -> ColumnElement[Any]:
        match by:
            case "key":
                return LEDGER.c.key_id
            case "model":
                return LEDGER.c.model
        if self.is_file:
            return func.substr(LEDGER.c.time, 1, 10, type_=LEDGER.c.model.type)
        utc = func.timezone("UTC", LEDGER.c.time)
        return func.to_char(utc, "YYYY-MM-DD", type_=LEDGER.c.model.type)

    def _build_insert(self) -> Insert:
        if self.is_file:
            return sqlite.insert(LEDGER).on_conflict_do_nothing()
        return postgresql.insert(LEDGER).on_conflict_do_nothing()

    @contextmanager
    def _open_transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                if not self.is_file:  # for this transaction only, so that poolers may stand between
                    timeout = "SELECT set_config('statement_timeout', :ms, true)"
                    connection.execute(text(timeout), {"ms": str(self._milliseconds)})
                yield connection
        except SQLAlchemyError as error:
            is_stale = getattr(error, "connection_invalidated", False)
            raise LedgerStoreError(_describe(error), is_stale=is_stale) from None

    def _make_private(self) -> None:
        """Create the file if it is missing; only its owner may read it, as SQLite's log."""
        path = Path(self._url.database or "")
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
        except OSError as error:
            raise LedgerStoreError(f"{path}: {error.strerror}") from None


class _DecimalSum:
    """SQLite aggregate ``decimal_sum``: the exact sum of decimals in text."""

    def __init__(self) -> None:
        self._total: Decimal | None = None

    def step(self, value: str | None) -> None:
        """Add a value; none adds nothing."""
        if value is not None:
            self._total = EXACT.add(self._total or Decimal(0), Decimal(value))

    def finalize(self) -> str | None:
        """Return the sum; None: there was no value."""
        return None if self._total is None else format_decimal(self._total)


def _create_engine(url: URL, seconds: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": seconds}, hide_parameters=True)
        event.listen(engine, "connect", _set_up_sqlite)
        return engine
    arguments = {
        "connect_timeout": max(MIN_CONNECT_SECONDS, round(seconds)),
        "tcp_user_timeout": int(seconds * 1000),
    }
    return create_engine(url, connect_args=arguments, hide_parameters=True)


def _set_up_sqlite(connection: Any, _: object) -> None:
    """Make commits durable, also against a loss of power, and let others read meanwhile."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.create_aggregate("decimal_sum", 1, _DecimalSum)


def _between(query: Select[Any], since: datetime, until: datetime) -> Select[Any]:
    return query.where(since <= LEDGER.c.time, LEDGER.c.time < until)


def _to_values(row: LedgerRow) -> dict[str, Any]:
    return {column.name: getattr(row, column.name) for column in LEDGER.columns}


def _to_sums(row: Any) -> dict[str, Any]:
    cost = row["cost"]
    whole = {
        name: int(value)
        for name, value in row.items()
        if isinstance(value, int | Decimal) and name != "cost"
    }
    return {**row, **whole, "cost": None if cost is None else Decimal(cost)}


def _describe(error: SQLAlchemyError) -> str:
    """Return the database's own words, in one line; they have no values and no password."""
    cause = getattr(error, "orig", None) or error
    return " ".join(str(cause).split())[:300]
