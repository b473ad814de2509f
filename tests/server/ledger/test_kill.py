"""kill -9, again and again under load: each reply whose end a client saw has exactly one row."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from server.ledger.row import LedgerRow
from tests.server.ledger.conftest import KEY, read_rows
from tests.server.ledger.test_rows import BODIES, USAGES, check_usage, group

NUM_KILLS = {"sqlite": 6, "postgresql": 4}
NUM_CLIENTS = 40
Json = dict[str, Any]


@dataclass
class Seen:
    """What all clients have seen: usages of whole replies, and receipts, by reply and choice."""

    usages: dict[str, tuple[str, Json]] = field(default_factory=dict)
    receipts: dict[tuple[str, int], Json] = field(default_factory=dict)

    def note(self, body: Json) -> None:
        """Take a whole body, or an event."""
        if isinstance(body.get("thinking"), dict) and "id" in body:
            self.receipts[body["id"], 0] = body["thinking"]
        for choice in body.get("choices", ()):
            if isinstance(choice.get("thinking"), dict):
                self.receipts[body["id"], choice["index"]] = choice["thinking"]


@contextmanager
def running_server(environment: dict[str, str]) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """Run a scripted server, and kill it at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.server.ledger.scripted_server"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


async def ask(client: httpx.AsyncClient, seen: Seen, chance: random.Random) -> None:
    """Make one request of any kind, and note all that comes of it."""
    path = chance.choice(list(BODIES))
    body: Json = {**BODIES[path], "stream": chance.random() < 0.6}
    if USAGES[path][0] == "prompt_tokens":
        body["n"] = chance.randint(1, 3)
        if body["stream"]:
            body["stream_options"] = {"include_usage": True}
    if not body["stream"]:
        response = await client.post(path, json=body)
        if response.status_code == 200:
            seen.note(response.json())
            seen.usages[response.json()["id"]] = (path, response.json()["usage"])
        return
    reply_id, usage = "", None
    async with client.stream("POST", path, json=body) as response:
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line[6:])
            inner = event.get("response") or event.get("message") or event
            reply_id = inner.get("id") or reply_id
            seen.note({**inner, "id": reply_id})
            usage = inner.get("usage") or event.get("usage") or usage
    # The stream ended as it should: cut off, it would have raised.
    if usage:
        seen.usages[reply_id] = (path, usage)


async def load(url: str, seen: Seen, chance: random.Random) -> None:
    """Ask without a pause, until cancelled or cut off."""

    async def work(client: httpx.AsyncClient) -> None:
        while True:
            await ask(client, seen, chance)

    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        await asyncio.gather(*(work(client) for _ in range(NUM_CLIENTS)), return_exceptions=True)


async def wait_until_ready(url: str) -> None:
    """Ask until the server answers; it says its URL a moment before it listens."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        while True:
            with suppress(httpx.ConnectError):
                if (await client.get("/health")).status_code == 200:
                    return
            await asyncio.sleep(0.05)


async def ask_and_kill(environment: dict[str, str], seen: Seen, chance: random.Random) -> None:
    """Kill a server at some time while it is under load."""
    with running_server(environment) as (process, url):
        await wait_until_ready(url)
        before = len(seen.usages)
        asking = asyncio.create_task(load(url, seen, chance))
        wanted = before + chance.randint(1, 60)
        while len(seen.usages) < wanted:  # noqa: ASYNC110 - the clients have no event
            await asyncio.sleep(0.001)
        process.kill()
        await asyncio.wait_for(asking, 60)


@pytest.mark.slow
def test_no_delivered_reply_is_without_its_row_and_none_has_two(url: str, prices: str) -> None:
    chance, seen = random.Random(7), Seen()
    environment = {
        "THINKING_SERVER_LEDGER": url,
        "THINKING_SERVER_PRICES": prices,
        "THINKING_SERVER_LEDGER_KEYS": KEY,
        "OMP_NUM_THREADS": "1",
    }
    num_kills = NUM_KILLS[url.partition(":")[0]]
    for _ in range(num_kills):
        asyncio.run(ask_and_kill(environment, seen, chance))
    rows = read_rows(url)
    check_rows(rows, seen)
    # The load was one: replies that were whole, and rows that no client has seen the end of.
    assert len(seen.usages) > num_kills


def check_rows(rows: list[LedgerRow], seen: Seen) -> None:
    """Assert that the rows hold all that was seen."""
    of_choice = {(row.request_id, row.choice): row for row in rows}
    assert max(Counter((row.request_id, row.choice) for row in rows).values()) == 1
    by_reply = group(rows)
    missing = [key for key in seen.receipts if key not in of_choice]
    assert missing == []
    for key, receipt in seen.receipts.items():
        assert of_choice[key].signature == receipt["signature"]
        assert of_choice[key].thinking_tokens == receipt["used"]
    for reply_id, (path, usage) in seen.usages.items():
        check_usage(by_reply[reply_id], path, usage)
