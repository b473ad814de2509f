"""Retention, and files that are not a trace store."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.traces.sqlite_store import DAY_SECONDS, SqliteTraceStore
from server.traces.store import Retention, TraceStoreError, UnknownTraceError
from server.traces.trace import TraceQuery, Verdict


def make_trace(number: int, text: str = "x", created: float = 0.0) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number}",
        "created": created,
        "choices": [{"index": 0, "answer": text}],
    }


def list_kept(store: SqliteTraceStore) -> list[str]:
    return [found["id"].split("-")[1] for found in store.read_page(TraceQuery(limit=1000)).traces]


@pytest.fixture
def clock() -> list[float]:
    return [10 * DAY_SECONDS]


Opener = Callable[..., SqliteTraceStore]


@pytest.fixture
def open_store(path: Path, clock: list[float]) -> Opener:
    def make(**limits: Any) -> SqliteTraceStore:
        return SqliteTraceStore(path, Retention(**limits), lambda: clock[0])

    return make


def test_the_newest_rows_are_kept(open_store: Opener) -> None:
    store = open_store(max_rows=3)
    for number in range(7):
        store.add(make_trace(number))
    assert list_kept(store) == ["4", "5", "6"]
    store.close()
    reopened = open_store(max_rows=2)
    assert list_kept(reopened) == ["5", "6"]
    reopened.close()


def test_no_more_bytes_are_kept_than_allowed(open_store: Opener) -> None:
    store = open_store(max_bytes=1000)
    for number in range(9):
        store.add(make_trace(number, "y" * 300))
    assert list_kept(store) == ["7", "8"]
    store.add(make_trace(9, "z" * 2000))  # larger than the limit
    assert list_kept(store) == []
    store.close()


def test_old_traces_are_forgotten_with_their_verdicts(
    open_store: Opener, clock: list[float]
) -> None:
    store = open_store(days=2)
    store.add(make_trace(1, created=clock[0] - DAY_SECONDS))
    store.add(make_trace(2, created=clock[0]))
    store.add_verdict("chatcmpl-1", Verdict(0, 1.0))
    clock[0] += 1.5 * DAY_SECONDS
    store.prune()
    assert list_kept(store) == ["2"]
    with pytest.raises(UnknownTraceError):
        store.add_verdict("chatcmpl-1", Verdict(0, 1.0))
    assert store._connection.execute("SELECT count(*) FROM verdicts").fetchone() == (0,)
    store.close()


def test_what_retention_removed_is_not_left_in_the_file(open_store: Opener, path: Path) -> None:
    store = open_store(max_rows=1)
    store.add(make_trace(1, "a secret thought"))
    store.add(make_trace(2))
    store.close()
    assert b"secret" not in path.read_bytes()


@given(st.text())
def test_any_text_is_returned_unchanged(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    store = SqliteTraceStore(tmp_path_factory.mktemp("t") / "traces", Retention())
    store.add(make_trace(1, text))
    assert store.read_page(TraceQuery()).traces[0]["choices"][0]["answer"] == text
    store.close()


def test_a_lone_surrogate_is_returned_unchanged(open_store: Opener) -> None:
    store = open_store()
    store.add(make_trace(1, "\ud83d"))
    assert store.read_page(TraceQuery()).traces[0]["choices"][0]["answer"] == "\ud83d"
    store.close()


def test_a_file_that_is_no_store_is_left_alone(open_store: Opener, path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 100)
    with pytest.raises(TraceStoreError, match="not a database"):
        open_store()
    assert path.read_bytes() == b"Dear diary, " * 100


def test_another_programs_database_is_left_alone(open_store: Opener, path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE books (title)")
    other.close()
    with pytest.raises(TraceStoreError, match="another"):
        open_store()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceStoreError, match="nowhere"):
        SqliteTraceStore(tmp_path / "nowhere" / "x", Retention())
