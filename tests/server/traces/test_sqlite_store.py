"""Retention, and files that are no trace store."""

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


def trace(number: int, text: str = "x", created: float = 0.0) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number}",
        "created": created,
        "choices": [{"index": 0, "answer": text}],
    }


def kept(store: SqliteTraceStore) -> list[str]:
    return [found["id"].split("-")[1] for found in store.page(TraceQuery(limit=1000)).traces]


@pytest.fixture
def clock() -> list[float]:
    return [10 * DAY_SECONDS]


Opener = Callable[..., SqliteTraceStore]


@pytest.fixture
def opened(path: Path, clock: list[float]) -> Opener:
    def open_store(**limits: Any) -> SqliteTraceStore:
        return SqliteTraceStore(path, Retention(**limits), lambda: clock[0])

    return open_store


def test_the_newest_rows_are_kept(opened: Opener) -> None:
    store = opened(max_rows=3)
    for number in range(7):
        store.add(trace(number))
    assert kept(store) == ["4", "5", "6"]
    store.close()
    reopened = opened(max_rows=2)
    assert kept(reopened) == ["5", "6"]
    reopened.close()


def test_no_more_bytes_are_kept_than_allowed(opened: Opener) -> None:
    store = opened(max_bytes=1000)
    for number in range(9):
        store.add(trace(number, "y" * 300))
    assert kept(store) == ["7", "8"]
    store.add(trace(9, "z" * 2000))  # larger than all that may be kept
    assert kept(store) == []
    store.close()


def test_old_traces_are_forgotten_with_their_verdicts(opened: Opener, clock: list[float]) -> None:
    store = opened(days=2)
    store.add(trace(1, created=clock[0] - DAY_SECONDS))
    store.add(trace(2, created=clock[0]))
    store.add_verdict("chatcmpl-1", Verdict(0, 1.0))
    clock[0] += 1.5 * DAY_SECONDS
    store.prune()
    assert kept(store) == ["2"]
    with pytest.raises(UnknownTraceError):
        store.add_verdict("chatcmpl-1", Verdict(0, 1.0))
    assert store._connection.execute("SELECT count(*) FROM verdicts").fetchone() == (0,)
    store.close()


def test_what_retention_took_is_not_left_in_the_file(opened: Opener, path: Path) -> None:
    store = opened(max_rows=1)
    store.add(trace(1, "a secret thought"))
    store.add(trace(2))
    store.close()
    assert b"secret" not in path.read_bytes()


@given(st.text())
def test_any_text_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    store = SqliteTraceStore(tmp_path_factory.mktemp("t") / "traces", Retention())
    store.add(trace(1, text))
    assert store.page(TraceQuery()).traces[0]["choices"][0]["answer"] == text
    store.close()


def test_half_a_surrogate_pair_comes_back_too(opened: Opener) -> None:
    store = opened()
    store.add(trace(1, "\ud83d"))
    assert store.page(TraceQuery()).traces[0]["choices"][0]["answer"] == "\ud83d"
    store.close()


def test_a_file_that_is_no_store_is_left_alone(opened: Opener, path: Path) -> None:
    path.write_bytes(b"Dear diary, " * 100)
    with pytest.raises(TraceStoreError, match="not a database"):
        opened()
    assert path.read_bytes() == b"Dear diary, " * 100


def test_another_programs_database_is_left_alone(opened: Opener, path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE books (title)")
    other.close()
    with pytest.raises(TraceStoreError, match="another"):
        opened()


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceStoreError, match="nowhere"):
        SqliteTraceStore(tmp_path / "nowhere" / "x", Retention())
