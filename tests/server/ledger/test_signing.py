"""Signatures: a bill can be checked against what a client has kept, and by a third party."""

import asyncio
import base64
import copy
import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ledger.command import main
from server.ledger.errors import LedgerConfigError
from server.ledger.row import read_row
from server.ledger.signing import KEYS_VARIABLE, LedgerKeyError, RowSigner
from server.settings.settings import ServerSettings
from server.state import open_services
from tests.server.conftest import MODEL, Served
from tests.server.ledger.conftest import KEY, OTHER_KEY, OpenLedger, open_store, read_rows
from tests.server.ledger.test_writing import make_row, open_writer

FIELDS = sorted(make_row(1).to_signed_dict())
Json = dict[str, Any]


def sign_by_the_docs(row: Json, key: str) -> str:
    """Sign an exported row as docs/ledger.md describes it, without our code."""
    signed = {name: value for name, value in row.items() if name != "signature"}
    for name, value in signed["receipt"].items():
        if isinstance(value, float) and value.is_integer():
            signed["receipt"][name] = int(value)
    content = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hmac.new(base64.urlsafe_b64decode(key), content.encode(), hashlib.sha256).digest()
    return "v1." + base64.urlsafe_b64encode(digest).decode().rstrip("=")


async def test_a_third_party_can_compute_a_signature(
    serve_billed: OpenLedger, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = (await serve_billed().chat()).json()
    assert main(["export", "--ledger", url]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["signature"] == reply["choices"][0]["thinking"]["signature"]
    assert sign_by_the_docs(copy.deepcopy(row), KEY) == row["signature"]
    assert sign_by_the_docs(copy.deepcopy(row), OTHER_KEY) != row["signature"]


def change(row: Json, name: str) -> None:
    """Change one field of a row by as little as possible."""
    value = row[name]
    if isinstance(value, int):
        row[name] = value + 1
    elif isinstance(value, dict):
        value["used"] += 1
    elif name == "time":
        row[name] = value.replace("00.000000", "00.000001")
    elif name == "cost":
        row[name] = value[:-1] + ("1" if value[-1] != "1" else "2")
    else:
        row[name] = value + "x"


@pytest.mark.parametrize("name", FIELDS)
def test_one_field_changed_fails(name: str) -> None:
    signer, row = RowSigner([KEY]), make_row(5)
    signature = signer.sign(row)
    assert signature is not None
    assert signer.verify(row, signature)
    fields = copy.deepcopy(row.to_dict())
    change(fields, name)
    assert not signer.verify(read_row(fields), signature)


@given(st.data())
def test_one_byte_of_a_signature_changed_fails(data: st.DataObject) -> None:
    signer, row = RowSigner([KEY]), make_row(5)
    signature = signer.sign(row) or ""
    place = data.draw(st.integers(0, len(signature) - 1))
    character = data.draw(st.characters().filter(lambda other: other != signature[place]))
    assert not signer.verify(row, signature[:place] + character + signature[place + 1 :])


def test_keys_are_rotated_by_a_new_one_in_front() -> None:
    row = make_row(1)
    old, rotated = RowSigner([KEY]), RowSigner([OTHER_KEY, KEY])
    old_signature, new_signature = old.sign(row) or "", rotated.sign(row) or ""
    assert old_signature != new_signature
    assert rotated.verify(row, old_signature)
    assert rotated.verify(row, new_signature)
    assert not old.verify(row, new_signature)


@pytest.mark.parametrize("keys", ["short", f"{KEY},short", "A" * 44, "é" * 43 + "="])
def test_a_bad_key_is_an_error_that_does_not_quote_it(
    keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEYS_VARIABLE, keys)
    with pytest.raises(LedgerKeyError, match=KEYS_VARIABLE) as caught:
        RowSigner.from_environment()
    assert keys not in str(caught.value)
    assert KEY not in repr(vars(RowSigner([])))


def test_keys_without_a_ledger_are_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEYS_VARIABLE, KEY)
    with pytest.raises(LedgerConfigError, match="with --ledger only"):
        open_services(ServerSettings())


async def collect_kept(served: Served) -> list[str]:
    """Return what a client keeps of several replies, as lines of a file."""
    bodies = [
        (await served.chat(n=2)).json(),
        (await served.http.post("/v1/responses", json={"model": MODEL, "input": "Hi"})).json(),
        (
            await served.http.post(
                "/v1/messages",
                json={
                    "model": MODEL,
                    "max_tokens": 64,
                    "messages": [{"role": "user", "content": "Hi"}],
                },
            )
        ).json(),
        (
            await served.http.post(
                "/v1/completions", json={"model": MODEL, "prompt": ["a", "b"], "n": 2}
            )
        ).json(),
    ]
    receipt = bodies[0]["choices"][0]["thinking"]
    stream = (await served.chat(stream=True)).text
    return [*map(json.dumps, bodies), json.dumps(receipt), *stream.split("\n")]


Verify = Callable[[list[str]], tuple[int, list[Json]]]


@pytest.fixture
def verify(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verify:
    """Runs ``ledger verify`` on lines; returns its exit code and its verdicts."""

    def run(lines: list[str]) -> tuple[int, list[Json]]:
        path = tmp_path / "kept.jsonl"
        path.write_text("\n".join(lines) + "\n")
        capsys.readouterr()
        code = main(["verify", str(path), "--ledger", url, "--json"])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


async def test_what_a_client_kept_matches(serve_billed: OpenLedger, verify: Verify) -> None:
    lines = await collect_kept(serve_billed())
    code, verdicts = await asyncio.to_thread(verify, lines)
    assert {verdict["result"] for verdict in verdicts} == {"matches"}
    assert len(verdicts) == 2 + 1 + 1 + 4 + 1 + 1
    assert code == 0


async def test_a_change_by_the_client_is_found(serve_billed: OpenLedger, verify: Verify) -> None:
    kept = json.loads((await collect_kept(serve_billed()))[0])
    changes: list[tuple[Callable[[Json], Any], str]] = [
        (lambda body: body["choices"][1]["thinking"].update(used=1), "thinking.used"),
        (lambda body: body["choices"][1]["thinking"].update(stop="loop"), "thinking.stop"),
        (lambda body: body["usage"].update(completion_tokens=1), "usage.completion_tokens"),
        (lambda body: body["usage"].update(prompt_tokens=1), "usage.prompt_tokens"),
        (lambda body: body["usage"].update(cost=0.5), "usage.cost"),
        (lambda body: body["choices"][1]["thinking"].update(signature="v1.x"), "no row"),
        (lambda body: body["choices"][1]["thinking"].pop("signature"), "has no signature"),
        (lambda body: body.pop("choices"), "has no receipt"),
    ]
    for make_change, problem in changes:
        changed = copy.deepcopy(kept)
        make_change(changed)
        code, verdicts = await asyncio.to_thread(verify, [json.dumps(changed)])
        assert code == 1
        assert any(problem in verdict["result"] for verdict in verdicts), problem


@pytest.mark.parametrize("column", ["answer_tokens", "cost", "key_id", "receipt"])
async def test_a_change_in_the_ledger_is_found(
    serve_billed: OpenLedger, url: str, verify: Verify, column: str
) -> None:
    kept = json.dumps((await serve_billed().chat()).json())
    value = "'{}'" if column == "receipt" else "'8'"
    store = open_store(url)
    with store._open_transaction() as connection:
        connection.exec_driver_sql(f"UPDATE thinking_ledger SET {column} = {value}")
    store.close()
    code, verdicts = await asyncio.to_thread(verify, [kept])
    assert code == 1
    assert "was changed" in verdicts[0]["result"]


def test_a_row_of_another_reply_does_not_vouch(url: str, verify: Verify) -> None:
    """A signature that was copied to another row does not hold there."""
    signer = RowSigner([KEY])
    writer = open_writer(url)
    writer.note(make_row(1, signature=signer.sign(make_row(2))))
    writer.close()
    (row,) = read_rows(url)
    assert not signer.verify(row, row.signature or "")


def test_verify_needs_the_keys(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_writer(url).close()
    assert main(["verify", str(tmp_path / "none"), "--ledger", url]) == 2
    assert KEYS_VARIABLE in capsys.readouterr().err
