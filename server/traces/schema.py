"""Tables of the SQLite trace store, and functions that open its file.

The file is readable by its owner only, from before its first byte is written. Knows no traces.
"""

import os
import sqlite3
from pathlib import Path

from server.traces.store import TraceStoreError

FILE_MODE = 0o600
VERSION = 1
# The time a writer waits for another process (a backup, a shell) that has locked the file.
BUSY_SECONDS = 5.0
_TABLES = """
BEGIN IMMEDIATE;
CREATE TABLE traces (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    created REAL NOT NULL,
    num_choices INTEGER NOT NULL,
    size INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX traces_created ON traces (created);
CREATE TABLE verdicts (
    trace INTEGER NOT NULL REFERENCES traces (seq) ON DELETE CASCADE,
    choice INTEGER NOT NULL,
    verifier TEXT NOT NULL,
    score REAL NOT NULL,
    note TEXT,
    created REAL NOT NULL,
    PRIMARY KEY (trace, choice, verifier)
) WITHOUT ROWID;
PRAGMA user_version = 1;
COMMIT;
"""


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open the only connection that writes; create the file and its tables if they are missing.

    Raises:
        TraceStoreError: the file cannot be used, or is not a trace store.
    """
    try:
        _make_private(path)
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise TraceStoreError(f"{path}: {reason}") from error
    try:
        _set_up(connection)
    except (TraceStoreError, sqlite3.Error) as error:
        connection.close()
        raise TraceStoreError(f"{path}: {error}") from error
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a read-only connection."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def _make_private(path: Path) -> None:
    """Create the file if missing and restrict it to its owner.

    SQLite gives the write-ahead log the same mode.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        os.fchmod(descriptor, FILE_MODE)
    finally:
        os.close(descriptor)


def _set_up(connection: sqlite3.Connection) -> None:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    is_new = version == 0 and not connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
    if not is_new and version != VERSION:
        raise TraceStoreError("is a database of another program or another version")
    if is_new:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    # Overwrite deleted content: it may have been deleted because of what it says.
    connection.execute("PRAGMA secure_delete = ON")
    if is_new:
        connection.executescript(_TABLES)
