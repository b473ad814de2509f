"""``thinking-server ledger``: sums are exact, and equal what the rows say."""

import csv
import io
import json
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from server.cli import read_settings
from server.ledger.command import URL_VARIABLE, main
from server.ledger.period import parse_month
from server.ledger.row import LedgerRow, format_decimal
from tests.examples import examples
from tests.server.ledger.conftest import open_store
from tests.server.ledger.test_writing import make_row, open_writer

COUNTS = ("prompt_tokens", "cached_tokens", "answer_tokens", "thinking_tokens")
BEGIN = datetime(2026, 10, 30, tzinfo=UTC)
TIMES = st.integers(0, 33 * 86_400 * 10**6).map(lambda us: BEGIN + timedelta(microseconds=us))
COSTS = st.decimals(0, 10**6, places=12, allow_nan=False, allow_infinity=False)


@st.composite
def draw_rows(draw: st.DrawFn) -> list[LedgerRow]:
    """Return rows of some replies with one choice or two."""
    rows = []
    for number in range(draw(st.integers(0, 12))):
        head = {
            "time": draw(TIMES),
            "key_id": draw(st.sampled_from(["team", "guest"])),
            "model": draw(st.sampled_from(["m", "n"])),
        }
        for choice in range(draw(st.integers(1, 2))):
            counts = {name: draw(st.integers(0, 10**12)) for name in COUNTS}
            has_price = draw(st.booleans())
            money = {
                "cost": draw(COSTS) if has_price else None,
                "currency": "USD" if has_price else None,
            }
            rows.append(make_row(number, choice=choice, **head, **counts, **money))
    return rows


def sum_up(rows: list[LedgerRow], by: str) -> dict[Any, dict[str, Any]]:
    """Sum up rows with Python's own decimals, by their group and currency."""
    groups = defaultdict(list)
    for row in rows:
        name = {"key": row.key_id, "model": row.model, "day": row.time.date().isoformat()}[by]
        groups[name, row.currency].append(row)
    return {
        group: {
            "replies": len({row.request_id for row in members}),
            "choices": len(members),
            **{name: sum(getattr(row, name) for row in members) for name in COUNTS},
            "cost": format_decimal(sum((r.cost for r in members if r.cost is not None), Decimal(0)))
            if group[1]
            else None,
        }
        for group, members in groups.items()
    }


@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=draw_rows(), by=st.sampled_from(["key", "model", "day"]))
@example(rows=[make_row(n, cost=Decimal("123456.000000000123")) for n in range(3)], by="key")
@pytest.mark.hypothesis
def test_sums_are_exact(
    url: str, rows: list[LedgerRow], by: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(url)
    store.prepare()
    with store._open_transaction() as connection:
        connection.exec_driver_sql("DELETE FROM thinking_ledger")
    store.insert(rows)
    store.close()
    capsys.readouterr()
    assert main(["--ledger", url, "--by", by, "--month", "2026-11", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    period = parse_month("2026-11")
    within = [row for row in rows if period.since <= row.time < period.until]
    assert {(line.pop(by), line.pop("currency")): line for line in found} == sum_up(within, by)


def test_the_forms_agree(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_writer(url)
    writer.note(make_row(1, key_id="team"))
    writer.note(make_row(2, key_id="guest", cost=None, currency=None))
    writer.close()
    monkeypatch.setenv(URL_VARIABLE, url)
    outputs = {}
    for form in ("--json", "--csv", None):
        assert main([form] if form else []) == 0
        outputs[form] = capsys.readouterr().out
    lines = [json.loads(line) for line in outputs["--json"].splitlines()]
    assert [line["key"] for line in lines] == ["guest", "team"]
    written = list(csv.DictReader(io.StringIO(outputs["--csv"])))
    assert [{k: v or None for k, v in row.items()} for row in written] == [
        {name: None if value is None else str(value) for name, value in line.items()}
        for line in lines
    ]
    assert "0.000000333333" in (outputs[None] or "")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--month", "2026-13"], "should be a month"),
        (["--month", "November"], "should be a month"),
        (["export", "--month", "2026"], "should be a month"),
    ],
)
def test_a_bad_month_is_a_clear_error(
    url: str, arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    open_writer(url).close()
    assert main([*arguments, "--ledger", url]) == 2
    assert problem in capsys.readouterr().err


def test_a_database_without_a_ledger_is_left_as_it_is(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--ledger", url]) == 2
    assert "error: there is no file" in capsys.readouterr().err or "postgres" in url
    assert list(tmp_path.iterdir()) == []
    assert main([]) == 2
    assert URL_VARIABLE in capsys.readouterr().err


def test_it_is_a_command_of_the_server(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    writer = open_writer(url)
    writer.note(make_row(1))
    writer.close()
    ended = subprocess.run(
        [sys.executable, "-m", "server", "ledger", "--ledger", url, "--by", "model", "--csv"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines()[1] == "m,1,1,7,0,5,1,0.000000333333,USD"


def test_a_password_is_taken_from_the_environment_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for url in ("postgresql://u:hush@h/d", "postgresql://h/d?user=u&password=hush"):
        with pytest.raises(SystemExit):
            read_settings({"ledger": url})
        error = capsys.readouterr().err
        assert URL_VARIABLE in error
        assert "hush" not in error
        monkeypatch.setenv(URL_VARIABLE, url)
        assert "hush" not in repr(read_settings({}))
    assert read_settings({"ledger": "postgresql://user@host/database"}).ledger is not None


def test_an_error_of_the_database_has_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    url = "postgresql://u:hush@127.0.0.1:9/d"  # no server listens on the port for "discard"
    assert main(["--ledger", url]) == 2
    error = capsys.readouterr().err
    assert "refused" in error
    assert "hush" not in error
