"""Apps with keys, and clients with secrets."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from server.keys.secret import hash_secret
from tests.server.conftest import Serve, Served, wants

THOUGHT, ANSWER = "carry the one", "It is 42."
# Long enough, and not mistaken for real secrets by a scanner.
ALICE = "alice-" + "a" * 40
BOB = "bob-" + "b" * 40
EVE = "eve-" + "e" * 40
Headers = dict[str, str]


def to_bearer(secret: str) -> Headers:
    """Return the header that OpenAI's clients send."""
    return {"authorization": f"Bearer {secret}"}


def make_entry(key_id: str, *secrets: str, **fields: str) -> str:
    """Return a key in TOML; `fields` are TOML too, those of the quota prefixed with ``quota.``."""
    hashes = ", ".join(f'"{hash_secret(secret)}"' for secret in secrets)
    lines = [f"{name} = {value}" for name, value in fields.items()]
    return "\n".join(["[[keys]]", f'id = "{key_id}"', f"hashes = [{hashes}]", *lines, ""])


@dataclass
class KeyFile:
    """A key file that tests rewrite."""

    path: Path

    def write(self, *entries: str) -> None:
        self.path.write_text("\n".join(entries) or "keys = []\n")


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    """A key file of Alice and Bob, both with the default permissions."""
    file = KeyFile(tmp_path / "keys.toml")
    file.write(make_entry("alice", ALICE), make_entry("bob", BOB))
    return file


ServeKeys = Callable[..., Served]


@pytest.fixture
def serve_keys(serve: Serve, key_file: KeyFile) -> ServeKeys:
    """Return ``serve`` with the key file, rewritten with `entries` if there are any."""

    def make(*entries: str, **options: Any) -> Served:
        if entries:
            key_file.write(*entries)
        source = wants(f"{THOUGHT}</think>{ANSWER}")
        return serve(source, **{"keys_file": str(key_file.path), **options})

    return make


@asynccontextmanager
async def open_client(
    served: Served, secret: str | None = None, url: str = "http://test"
) -> AsyncIterator[httpx.AsyncClient]:
    """Open a client with a secret, or without one."""
    transport = httpx.ASGITransport(served.app, raise_app_exceptions=False)
    headers = to_bearer(secret) if secret is not None else {}
    async with httpx.AsyncClient(transport=transport, base_url=url, headers=headers) as client:
        yield client


async def call(
    app: FastAPI,
    headers: list[tuple[bytes, bytes]],
    path: str = "/v1/models",
    address: str = "test",
) -> int:
    """Return an app's status for any bytes in the headers; fails if the body is read."""
    statuses = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http",
             "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
             "headers": headers, "client": ("127.0.0.1", 1), "server": (address, 80)}  # fmt: skip
    await app(scope, receive, send)
    return int(statuses[0])
