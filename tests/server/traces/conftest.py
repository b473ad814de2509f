"""Apps that record traces, and clients with other addresses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.conftest import Serve, Served, wants

THOUGHT, ANSWER = "carry the one", "It is 42."
TOKEN = "a-token-of-some-length"
ServeTraces = Callable[..., Served]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the trace store."""
    return tmp_path / "traces.sqlite"


@pytest.fixture
def serve_traces(serve: Serve, path: Path) -> ServeTraces:
    """Return ``serve`` with a trace store; the model thinks THOUGHT and answers ANSWER."""

    def make(text: str = f"{THOUGHT}</think>{ANSWER}", **options: Any) -> Served:
        return serve(wants(text), **{"trace_store": str(path), **options})

    return make


async def request_completion(served: Served, **fields: Any) -> str:
    """Request a chat completion and return its id."""
    reply = await served.chat(**{"temperature": 0, "max_thinking_tokens": 100, **fields})
    assert reply.status_code == 200, reply.text
    return str(reply.json()["id"])


def make_client(served: Served, address: str, host: str = "127.0.0.1") -> httpx.AsyncClient:
    """Return a client with the given address."""
    transport = httpx.ASGITransport(served.app, raise_app_exceptions=False, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


async def read_traces(served: Served, **parameters: Any) -> list[dict[str, Any]]:
    """Return the traces that a client on this machine can read."""
    async with make_client(served, "127.0.0.1") as client:
        response = await client.get("/v1/thinking/traces", params=parameters)
    assert response.status_code == 200, response.text
    return [httpx.Response(200, text=line).json() for line in response.text.splitlines()]


def read_bytes_on_disk(path: Path) -> bytes:
    """Return the contents of all the store's files, including its log."""
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
