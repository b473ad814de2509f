"""Rows that wait on the local disk while the ledger's database does not respond.

A file of JSON lines, each flushed to the disk before its reply ends. Knows no database.
"""

import fcntl
import json
import os
from collections.abc import Sequence
from pathlib import Path

from server.ledger.errors import LedgerConfigError
from server.ledger.row import LedgerRow, read_row

FILE_MODE = 0o600


class SpoolError(Exception):
    """The spool is full, or its disk is."""


class Spool:
    """The spool at `path`, with at most `max_rows`. Used by one thread of one process.

    Raises:
        LedgerConfigError: the file cannot be used, or another server uses it.
    """

    def __init__(self, path: Path, max_rows: int) -> None:
        self._max_rows = max_rows
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerConfigError(f"{path}: another server uses this spool") from None
        except OSError as error:
            raise LedgerConfigError(f"{path}: {error.strerror}") from None
        content = path.read_bytes()
        # A process that was killed may have left half a line: its reply was not ended either.
        self._end = content.rfind(b"\n") + 1
        os.ftruncate(self._file, self._end)
        self.num_rows = content.count(b"\n")
        self._read_to = self._next = 0

    @property
    def is_full(self) -> bool:
        """True if no further row fits."""
        return self.num_rows >= self._max_rows

    def append(self, rows: Sequence[LedgerRow]) -> None:
        """Add `rows`, all or none; they are on the disk afterwards.

        Raises:
            SpoolError: there is no room.
        """
        if self.num_rows + len(rows) > self._max_rows:
            raise SpoolError("the spool is full")
        lines = "".join(json.dumps(row.to_dict(), separators=(",", ":")) + "\n" for row in rows)
        content = lines.encode()
        try:
            num_written = os.pwrite(self._file, content, self._end)
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise SpoolError(f"the spool cannot be written: {error.strerror}") from None
        if num_written != len(content):
            os.ftruncate(self._file, self._end)
            raise SpoolError("the disk of the spool is full")
        self._end += num_written
        self.num_rows += len(rows)

    def read_next(self, num_rows: int) -> list[LedgerRow]:
        """Return the next rows since the last :meth:`advance`, at most `num_rows`."""
        with os.fdopen(os.dup(self._file), "rb") as file:
            file.seek(self._read_to)
            lines = [line for _, line in zip(range(num_rows), file, strict=False)]
        self._next = self._read_to + sum(map(len, lines))
        return [read_row(json.loads(line)) for line in lines]

    def advance(self) -> None:
        """Leave the rows that were read last behind; after the last one the file is emptied.

        Rows that are read again after a crash are in the ledger already, where they change nothing.
        """
        self._read_to = self._next
        if self._read_to == self._end:
            os.ftruncate(self._file, 0)
            os.fsync(self._file)
            self._read_to = self._end = self._next = self.num_rows = 0

    def close(self) -> None:
        """Close the file, which keeps its rows."""
        os.close(self._file)
