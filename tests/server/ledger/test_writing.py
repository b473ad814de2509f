"""The writer: few commits for many rows, none lost and none twice, and what an outage does."""

import asyncio
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from server.ledger.errors import LedgerConfigError, LedgerSchemaError, LedgerUnavailableError
from server.ledger.metrics import LedgerMetrics
from server.ledger.row import LedgerRow
from server.ledger.spool import Spool
from server.ledger.store import LedgerStore, parse_url
from server.ledger.writer import PAUSE_SECONDS, LedgerWriter
from server.settings.settings import ServerSettings
from server.state import open_services
from tests.ops.postgres import Postgres, running_postgres
from tests.server.conftest import Served, ids
from tests.server.ledger.conftest import WANTED, OpenLedger, open_store, read_rows
from tests.server.scraping import scrape

NUM_TOKENS = len(ids(WANTED)) + 1  # and the end of sequence
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def make_row(number: int, **changes: Any) -> LedgerRow:
    """Return the row of the `number`-th reply."""
    fields: dict[str, Any] = {
        "request_id": f"chatcmpl-{number}",
        "choice": 0,
        "time": NOW,
        "endpoint": "/v1/chat/completions",
        "key_id": "team",
        "model": "m",
        "prompt_tokens": 7,
        "cached_tokens": 0,
        "answer_tokens": 5,
        "thinking_tokens": number,
        "finish": "stop",
        "receipt": {"used": number, "seconds": 0.25},
        "cost": Decimal("0.000000333333"),
        "currency": "USD",
    }
    return LedgerRow(**fields | changes)


def open_writer(url: str, spool: Spool | None = None, seconds: float = 10) -> LedgerWriter:
    """Return a writer that has been started."""
    writer = LedgerWriter(open_store(url), spool, LedgerMetrics(CollectorRegistry()), seconds)
    writer.start()
    return writer


async def test_a_row_comes_back_as_it_was_written(url: str) -> None:
    writer = open_writer(url)
    await writer.write(make_row(3, signature="v1.x"))
    assert read_rows(url) == [make_row(3, signature="v1.x")]
    writer.close()


async def test_many_rows_share_few_commits(url: str) -> None:
    writer = open_writer(url)
    await asyncio.gather(*(writer.write(make_row(number)) for number in range(500)))
    assert len(read_rows(url)) == 500
    assert writer._metrics.rows._value.get() == 500
    assert writer._metrics.commits._value.get() <= 50
    writer.close()


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_replies_that_end_during_a_commit_share_the_next(
    serve_billed: OpenLedger, url: str, path: Path
) -> None:
    served = serve_billed()
    slow_disk = LockedFile(path)
    asking = [asyncio.create_task(served.chat()) for _ in range(100)]
    while served.engine.num_generated < 100 * NUM_TOKENS:  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0.01)
    await asyncio.wait(asking, timeout=0.2)
    assert not any(request.done() for request in asking)  # no reply ends before its row is there
    slow_disk.end()
    assert {(await request).status_code for request in asking} == {200}
    page = await scrape(served)
    assert len(read_rows(url)) == 100 == page.sum("thinking_ledger_rows_total")
    assert page.sum("thinking_ledger_commits_total") <= 3


async def test_a_row_that_is_tried_again_is_there_once(url: str) -> None:
    writer = open_writer(url)
    for row in (make_row(1), make_row(1), make_row(2), make_row(1, thinking_tokens=9)):
        await writer.write(row)
    assert [row.thinking_tokens for row in read_rows(url)] == [1, 2]
    writer.close()


async def test_what_nobody_waits_for_is_written_at_the_latest_at_the_end(url: str) -> None:
    writer = open_writer(url)
    for number in range(50):
        writer.note(make_row(number))
    writer.close()
    assert len(read_rows(url)) == 50


async def test_several_servers_may_begin_and_write_together(url: str) -> None:
    writers = await asyncio.gather(*(asyncio.to_thread(open_writer, url) for _ in range(4)))
    rows = [make_row(number) for number in range(200)]
    await asyncio.gather(*(writers[i % 4].write(row) for i, row in enumerate(rows)))
    assert len(read_rows(url)) == 200
    for writer in writers:
        writer.close()


def test_an_unknown_schema_is_refused(url: str) -> None:
    writer = open_writer(url)
    writer.close()
    set_version(url, 7)
    for _ in range(2):  # and stays as it is
        with pytest.raises(LedgerSchemaError, match="version 7, and this server knows 1"):
            open_writer(url)
    with pytest.raises(LedgerConfigError, match="version 7"):
        open_services(ServerSettings(ledger=url))  # type: ignore[arg-type]


def set_version(url: str, version: int) -> None:
    """Make it the database of another version."""
    store = open_store(url)
    with store._open_transaction() as connection:
        connection.exec_driver_sql(f"UPDATE thinking_ledger_schema SET version = {version}")
    store.close()


@pytest.mark.parametrize(
    "bad", ["mysql://u:secret@h/d", "sqlite://", "sqlite:///:memory:", "ledger.db", "postgresql"]
)
def test_a_bad_url_is_a_clear_error_without_the_url(bad: str) -> None:
    with pytest.raises(LedgerConfigError, match="sqlite:///FILE or postgresql") as caught:
        open_services(ServerSettings(ledger=bad))  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_used_is_a_clear_error(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "ledger.db", tmp_path):
        with pytest.raises(LedgerConfigError, match=str(path)):
            open_services(ServerSettings(ledger=f"sqlite:///{path}"))  # type: ignore[arg-type]


def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_writer(f"sqlite:///{path}").close()
    assert path.stat().st_mode & 0o777 == 0o600


class LockedFile:
    """A SQLite ledger that another process keeps locked: an outage of the database."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        """Let the server write again."""
        self._connection.execute("ROLLBACK")
        self._connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a ledger."""
    return tmp_path / "ledger.db"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("is_written", [True, False])
async def test_a_try_that_runs_at_the_time_limit_decides(
    url: str, path: Path, *, is_written: bool
) -> None:
    store = LedgerStore(parse_url(url), 60.0 if is_written else 5.0)
    writer = LedgerWriter(store, None, LedgerMetrics(CollectorRegistry()), 1.0)
    writer.start()
    outage = LockedFile(path)
    writing = asyncio.create_task(writer.write(make_row(1)))
    await asyncio.wait({writing}, timeout=1.5)
    assert not writing.done()
    if is_written:
        outage.end()
        await writing
    else:
        with pytest.raises(LedgerUnavailableError):
            await writing
        outage.end()
    await asyncio.to_thread(writer.close)
    assert [row.finish for row in read_rows(url)] == ["stop" if is_written else "failed"]


async def wait_until_up(served: Served) -> None:
    """Wait until a request is let in."""
    async with asyncio.timeout(30):
        while (await served.chat()).status_code != 200:  # noqa: ASYNC110 - as a client tries
            await asyncio.sleep(PAUSE_SECONDS / 10)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_an_outage_fails_replies_and_then_refuses_requests(
    serve_billed: OpenLedger, url: str, path: Path
) -> None:
    served = serve_billed(ledger_timeout_seconds=2.0)
    outage = LockedFile(path)
    whole, streamed = await asyncio.gather(served.chat(), served.chat(stream=True))
    assert (whole.status_code, whole.json()["error"]["code"]) == (503, "ledger_unavailable")
    # All but the last chunk had been sent; the reply ends with an error, not with a finish reason.
    assert '"ledger_unavailable"' in streamed.text
    assert '"finish_reason":"stop"' not in streamed.text
    assert "[DONE]" not in streamed.text
    num_generated = served.engine.num_generated
    refused = await served.chat()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "ledger_unavailable")
    assert served.engine.num_generated == num_generated
    page = await scrape(served)
    assert page.sum("thinking_ledger_up") == 0
    assert page.sum("thinking_ledger_failures_total") > 0
    outage.end()
    await wait_until_up(served)
    finishes = sorted(row.finish for row in read_rows(url))
    assert finishes == ["failed", "failed", "stop"]  # none is lost, and none charged as delivered


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_with_a_spool_replies_go_on_and_their_rows_follow(
    serve_billed: OpenLedger, url: str, path: Path, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    served = serve_billed(
        ledger_timeout_seconds=2.0, ledger_spool=str(spool), ledger_spool_max_rows=3
    )
    outage = LockedFile(path)
    ids = [(await served.chat()).json()["id"] for _ in range(3)]
    assert spool.read_bytes().count(b"\n") == 3
    assert (await scrape(served)).sum("thinking_ledger_spooled_rows") == 3
    assert (await served.chat()).status_code == 503  # the spool is full
    outage.end()
    await wait_until_up(served)
    await served.services.close()
    assert [row.request_id for row in read_rows(url)][:3] == ids
    assert spool.read_bytes() == b""


async def test_rows_of_a_spool_survive_the_server(url: str, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 10)
    spool.append([make_row(number) for number in range(4)])
    spool.close()
    with (tmp_path / "spool").open("ab") as file:
        file.write(b'{"request_id": "half a li')  # killed while it wrote
    writer = open_writer(url, Spool(tmp_path / "spool", 10))
    writer.note(make_row(9))
    async with asyncio.timeout(20):
        while (tmp_path / "spool").stat().st_size:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.02)
    writer.close()
    assert sorted(row.thinking_tokens for row in read_rows(url)) == [0, 1, 2, 3, 9]


def test_a_spool_has_one_server(tmp_path: Path) -> None:
    first = Spool(tmp_path / "spool", 10)
    with pytest.raises(LedgerConfigError, match="another server"):
        Spool(tmp_path / "spool", 10)
    first.close()


async def test_a_disk_that_is_full_fails_the_reply(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SQLite is told to use no more pages: its error is that of a full disk."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    writer = open_writer(url, seconds=0.5)
    limit = "PRAGMA max_page_count = 1"  # the least: as many as there are
    with writer._store._open_transaction() as connection:
        connection.exec_driver_sql(limit)
    tries = [writer.write(make_row(number, endpoint="/" * 1000)) for number in range(200)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert any(isinstance(result, LedgerUnavailableError) for result in results)
    with pytest.raises(LedgerUnavailableError):
        writer.check_open()
    writer.close()
    delivered = {f"chatcmpl-{number}" for number, result in enumerate(results) if result is None}
    assert delivered <= {row.request_id for row in read_rows(url)}


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL that a test may stop."""
    with running_postgres() as running:
        yield running


async def test_postgresql_may_go_and_come_back(own_postgres: Postgres, tmp_path: Path) -> None:
    url = own_postgres.create_database()
    writer = open_writer(url, Spool(tmp_path / "spool", 100))
    await writer.write(make_row(0))
    own_postgres.stop()
    for number in range(1, 6):
        await writer.write(make_row(number))
    assert not writer.is_up
    own_postgres.start()
    async with asyncio.timeout(30):
        while not writer.is_up:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.05)
    await writer.write(make_row(6))
    writer.close()
    assert sorted(row.thinking_tokens for row in read_rows(url)) == list(range(7))


async def test_a_restart_of_postgresql_costs_no_reply(own_postgres: Postgres) -> None:
    """A connection that was lost is opened again before anything is said to be down."""
    url = own_postgres.create_database()
    writer = open_writer(url)
    await writer.write(make_row(0))
    own_postgres.stop()
    own_postgres.start()
    await writer.write(make_row(1))
    assert writer.is_up
    assert writer._metrics.failures._value.get() == 0
    writer.close()
    assert len(read_rows(url)) == 2


async def test_a_server_starts_while_postgresql_is_down(own_postgres: Postgres) -> None:
    url = own_postgres.create_database()
    own_postgres.stop()
    writer = open_writer(url)
    with pytest.raises(LedgerUnavailableError):
        writer.check_open()
    own_postgres.start()
    await writer.write(make_row(1))
    writer.check_open()
    writer.close()
    assert len(read_rows(url)) == 1
