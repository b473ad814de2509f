"""Signed receipts outlive the SDKs for JavaScript, and are verified in it without our code."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.conftest import run, tsx
from tests.server.ledger.conftest import KEY, OTHER_KEY
from tests.server.ledger.test_kill import running_server, wait_until_ready

pytestmark = pytest.mark.sdk

NUM_REPLIES = 4
Json = dict[str, Any]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}"


@pytest.fixture(scope="module")
def kept(ledger: str, node_folder: Path) -> list[Json]:
    """What the SDKs keep of replies: ids and receipts."""
    environment = {"THINKING_SERVER_LEDGER": ledger, "THINKING_SERVER_LEDGER_KEYS": KEY}
    with running_server(environment) as (_, url):
        asyncio.run(wait_until_ready(url))
        replies: list[Json] = json.loads(run([*tsx(node_folder, "signatures"), "ask", url]))
    assert len(replies) == NUM_REPLIES
    return replies


@pytest.fixture(scope="module")
def rows(ledger: str, kept: list[Json]) -> str:
    """The ledger's rows, as its command exports them."""
    command: list[str | Path] = [sys.executable, "-m", "server", "ledger", "export"]
    return run([*command, "--ledger", ledger])


def verify(node_folder: Path, folder: Path, kept: list[Json], rows: str, key: str) -> list[bool]:
    (folder / "kept.json").write_text(json.dumps(kept))
    (folder / "rows.jsonl").write_text(rows)
    command = [*tsx(node_folder, "signatures"), "verify"]
    verdicts: list[bool] = json.loads(
        run([*command, folder / "kept.json", folder / "rows.jsonl", key])
    )
    return verdicts


def test_what_the_sdks_keep_is_verified(
    kept: list[Json], rows: str, node_folder: Path, tmp_path: Path
) -> None:
    assert all(reply["thinking"]["used"] > 0 for reply in kept)
    assert verify(node_folder, tmp_path, kept, rows, KEY) == [True] * NUM_REPLIES


def test_another_key_does_not_verify_it(
    kept: list[Json], rows: str, node_folder: Path, tmp_path: Path
) -> None:
    assert verify(node_folder, tmp_path, kept, rows, OTHER_KEY) == [False] * NUM_REPLIES


def test_a_changed_row_does_not_verify(
    kept: list[Json], rows: str, node_folder: Path, tmp_path: Path
) -> None:
    changed = [json.loads(line) for line in rows.splitlines()]
    for row in changed:
        row["answer_tokens"] += 1
    text = "\n".join(map(json.dumps, changed))
    assert verify(node_folder, tmp_path, kept, text, KEY) == [False] * NUM_REPLIES


def test_a_changed_receipt_does_not_verify(
    kept: list[Json], rows: str, node_folder: Path, tmp_path: Path
) -> None:
    changed = [
        {**reply, "thinking": {**reply["thinking"], "used": reply["thinking"]["used"] + 1}}
        for reply in kept
    ]
    assert verify(node_folder, tmp_path, changed, rows, KEY) == [False] * NUM_REPLIES
