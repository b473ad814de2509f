"""Traces in one SQLite file: one connection writes, each read opens its own.

Enforces the retention limits with each trace added. Knows nothing of redaction: traces arrive
redacted.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from server.keys.key import ANONYMOUS_ID
from server.traces.schema import open_for_reading, open_for_writing
from server.traces.store import (
    Retention,
    TooManyVerdictsError,
    TraceStoreError,
    UnknownChoiceError,
    UnknownTraceError,
)
from server.traces.trace import GOOD_SCORE, TracePage, TraceQuery, Verdict

DAY_SECONDS = 86_400.0
MAX_VERDICTS_PER_CHOICE = 64
# A page ends early rather than exceed this, unless its first trace alone does.
MAX_PAGE_BYTES = 16 * 2**20


class SqliteTraceStore:
    """A :class:`~server.traces.store.TraceStore`; `now` is Unix time in seconds."""

    def __init__(
        self, path: Path, retention: Retention, now: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._retention = retention
        self._now = now
        self._connection = open_for_writing(path)
        row = self._connection.execute("SELECT count(*), total(size) FROM traces").fetchone()
        self._num_rows, self._num_bytes = int(row[0]), int(row[1])
        self.prune()

    def add(self, trace: Mapping[str, Any]) -> None:
        """Add a trace; see :meth:`TraceStore.add`."""
        body = json.dumps(trace, ensure_ascii=False, separators=(",", ":"))
        # A lone surrogate cannot be encoded as UTF-8, but its escape can.
        if any("\ud800" <= character <= "\udfff" for character in body):
            body = json.dumps(trace, separators=(",", ":"))
        size = len(body.encode())
        row = (trace["id"], trace["created"], len(trace["choices"]), size, body)
        with self._open_transaction():
            self._connection.execute(
                "INSERT INTO traces (id, created, num_choices, size, body) VALUES (?, ?, ?, ?, ?)",
                row,
            )
        self._num_rows += 1
        self._num_bytes += size
        self.prune()

    def add_verdict(self, trace_id: str, verdict: Verdict, key_id: str | None = None) -> None:
        """Add a verdict; see :meth:`TraceStore.add_verdict`."""
        with self._open_transaction():
            seq, num_choices = self._find(trace_id, key_id)
            if verdict.choice >= num_choices:
                raise UnknownChoiceError(num_choices)
            others = self._connection.execute(
                "SELECT count(*) FROM verdicts WHERE trace = ? AND choice = ? AND verifier <> ?",
                (seq, verdict.choice, verdict.verifier),
            ).fetchone()[0]
            if others >= MAX_VERDICTS_PER_CHOICE:
                raise TooManyVerdictsError
            self._connection.execute(
                "INSERT OR REPLACE INTO verdicts (trace, choice, verifier, score, note, created) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (seq, verdict.choice, verdict.verifier, verdict.score, verdict.note, self._now()),
            )

    def delete(self, trace_id: str) -> None:
        """Delete a trace; see :meth:`TraceStore.delete`."""
        with self._open_transaction():
            seq, _ = self._find(trace_id)
            self._drop("seq = ?", seq)
        self._clean_up()

    def prune(self) -> None:
        """Delete what exceeds the retention limits; see :meth:`TraceStore.prune`."""
        num_before, keep = self._num_rows, self._retention
        with self._open_transaction():
            if keep.days is not None:
                self._drop("created < ?", self._now() - keep.days * DAY_SECONDS)
            if keep.max_rows is not None and self._num_rows > keep.max_rows:
                excess = self._num_rows - keep.max_rows
                self._drop("seq IN (SELECT seq FROM traces ORDER BY seq LIMIT ?)", excess)
            while keep.max_bytes is not None and self._num_bytes > keep.max_bytes:
                self._drop("seq = (SELECT min(seq) FROM traces WHERE ?)", 1)
        if self._num_rows < num_before:
            self._clean_up()

    def read_page(self, query: TraceQuery) -> TracePage:
        """Read a page of traces; see :meth:`TraceStore.read_page`."""
        where, values = _build_conditions(query)
        sql = f"SELECT seq, size, body FROM traces WHERE {where} ORDER BY seq LIMIT ?"
        traces: list[dict[str, Any]] = []
        num_bytes, last = 0, query.after
        try:
            with closing(open_for_reading(self._path)) as connection:
                connection.execute("BEGIN")  # a consistent snapshot of traces and verdicts
                for seq, size, body in connection.execute(sql, (*values, query.limit + 1)):
                    num_bytes += size
                    if traces and (len(traces) == query.limit or num_bytes > MAX_PAGE_BYTES):
                        return TracePage(traces, last)
                    verdicts = _read_verdicts(connection, seq)
                    traces.append({"seq": seq, **json.loads(body), "verdicts": verdicts})
                    last = seq
        except sqlite3.Error as error:
            raise TraceStoreError(str(error)) from error
        return TracePage(traces, None)

    def close(self) -> None:
        """Close the connection; see :meth:`TraceStore.close`."""
        try:
            self._connection.close()  # the last connection empties the log
        except sqlite3.Error as error:
            raise TraceStoreError(str(error)) from error

    def _find(self, trace_id: str, key_id: str | None = None) -> tuple[int, int]:
        row = self._connection.execute(
            # Traces recorded before keys existed have no key.
            "SELECT seq, num_choices, coalesce(json_extract(body, '$.key'), ?) "
            "FROM traces WHERE id = ?",
            (ANONYMOUS_ID, trace_id),
        ).fetchone()
        if row is None or key_id not in (None, row[2]):
            raise UnknownTraceError
        return int(row[0]), int(row[1])

    def _drop(self, condition: str, value: float) -> None:
        """Delete the traces that match one of our own conditions, and update the counts."""
        sizes = self._connection.execute(
            f"DELETE FROM traces WHERE {condition} RETURNING size", (value,)
        ).fetchall()
        self._num_rows -= len(sizes)
        self._num_bytes -= sum(size for (size,) in sizes)

    def _clean_up(self) -> None:
        """Release freed pages, and remove deleted content from the write-ahead log."""
        try:
            self._connection.execute("PRAGMA incremental_vacuum").fetchall()
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.OperationalError:
            return  # a reader holds the log; the next call cleans up

    @contextmanager
    def _open_transaction(self) -> Iterator[None]:
        """Run the block as a transaction; an error rolls back the file and the counts."""
        counts = self._num_rows, self._num_bytes
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except BaseException as error:
            self._num_rows, self._num_bytes = counts
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise TraceStoreError(str(error)) from error
            raise


def _build_conditions(query: TraceQuery) -> tuple[str, tuple[float, ...]]:
    conditions, values = ["seq > ?"], [float(query.after)]
    if query.since is not None:
        conditions.append("created >= ?")
        values.append(query.since)
    judged = "EXISTS (SELECT 1 FROM verdicts WHERE trace = seq"
    match query.verdict:
        case "good":
            conditions.append(f"{judged} AND score >= {GOOD_SCORE})")
        case "bad":
            conditions.append(f"{judged} AND score < {GOOD_SCORE})")
        case "none":
            conditions.append(f"NOT {judged})")
    return " AND ".join(conditions), tuple(values)


def _read_verdicts(connection: sqlite3.Connection, seq: int) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT choice, score, verifier, note, created FROM verdicts WHERE trace = ? "
        "ORDER BY choice, created, verifier",
        (seq,),
    )
    return [Verdict(*row).to_dict() for row in rows]
