"""Tables of the ledger, in SQLite and PostgreSQL, and the version of their schema.

A row is never changed once it is written. Knows no rows but their columns.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

from server.ledger.errors import LedgerSchemaError
from server.ledger.row import format_decimal, format_time

VERSION = 1
# Each brings a database from this version to the next one.
MIGRATIONS: Mapping[int, Callable[[Connection], None]] = {}
# Replicas that start together take turns (PostgreSQL's advisory lock; any constant of our own).
_LOCK = 7_104_214_208


class UtcTime(TypeDecorator[datetime]):
    """A UTC time: ``timestamptz``, or in SQLite text in RFC 3339, which sorts by time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column's type in this database."""
        return dialect.type_descriptor(String(32) if dialect.name == "sqlite" else self.impl)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Return `value` as the database takes it."""
        return value if value is None or dialect.name != "sqlite" else format_time(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return a time of the zone UTC."""
        if value is None:
            return None
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
        return time.astimezone(UTC)


class Money(TypeDecorator[Decimal]):
    """An exact decimal: ``numeric``, or text in SQLite, whose numbers are binary floats."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column's type in this database."""
        return dialect.type_descriptor(String(64) if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """Return `value` as the database takes it."""
        return value if value is None or dialect.name != "sqlite" else format_decimal(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Return the decimal as it was written."""
        return None if value is None else Decimal(value)


METADATA = MetaData()
LEDGER = Table(
    "thinking_ledger",
    METADATA,
    Column("request_id", Text, primary_key=True),
    Column("choice", Integer, primary_key=True, autoincrement=False),
    Column("time", UtcTime, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("answer_tokens", BigInteger, nullable=False),
    Column("thinking_tokens", BigInteger, nullable=False),
    Column("finish", Text, nullable=False),
    Column("receipt", JSON().with_variant(JSONB(), "postgresql"), nullable=False),
    Column("cost", Money),
    Column("currency", Text),
    Column("signature", Text),
    Index("thinking_ledger_time", "time"),
    Index("thinking_ledger_signature", "signature"),
)
SCHEMA = Table("thinking_ledger_schema", METADATA, Column("version", Integer, primary_key=True))


def prepare_schema(connection: Connection) -> None:
    """Create the tables where they are missing, and bring older ones up to date.

    Raises:
        LedgerSchemaError: the version is unknown.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    version = read_version(connection)
    if version is None:
        METADATA.create_all(connection)
        connection.execute(SCHEMA.insert().values(version=VERSION))
        return
    while version != VERSION:
        if version not in MIGRATIONS:
            raise _unknown_version_error(version)
        MIGRATIONS[version](connection)
        version += 1
        connection.execute(SCHEMA.update().values(version=version))


def check_schema(connection: Connection) -> None:
    """Check that the database has a ledger of our version; change nothing.

    Raises:
        LedgerSchemaError: it has not.
    """
    version = read_version(connection)
    if version is None:
        raise LedgerSchemaError("the database has no ledger")
    if version != VERSION:
        raise _unknown_version_error(version)


def read_version(connection: Connection) -> int | None:
    """Return the version of the schema; None: there is none."""
    if not inspect(connection).has_table(SCHEMA.name):
        return None
    return connection.execute(select(SCHEMA.c.version)).scalar()


def _unknown_version_error(version: int) -> LedgerSchemaError:
    return LedgerSchemaError(
        f"the ledger has schema version {version}, and this server knows {VERSION}: use the server "
        "that wrote it, or another database"
    )
