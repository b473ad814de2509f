"""A server on a real port, and OpenAI's own client of its sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest_asyncio
from openai import AsyncOpenAI
from openai.resources.responses.responses import AsyncResponsesConnection

from server.app import SOCKET_PATHS, create_app
from server.engine.scripted import ScriptedEngine
from server.engine.scripted_model import LogitsSource
from server.http.connection import HttpConfig
from server.http.connection_limits import ConnectionLimits
from server.lifecycle import HttpServer, Lifecycle
from server.process.exit import ExitCode
from server.serve import bind_listener, format_url
from server.state import LoadedModel, Services
from tests.server.conftest import MODEL, PROFILES, TOKENIZER, make_services, wants

END_SECONDS = 60.0  # the first tool parser is imported with all of vLLM
Json = dict[str, Any]
LAST = ("response.completed", "response.incomplete", "response.failed", "error")


@dataclass(eq=False)
class SocketServer:
    """A running server with a scripted engine."""

    url: str
    services: Services
    engine: ScriptedEngine
    lifecycle: Lifecycle
    exit_code: "asyncio.Task[ExitCode]"

    @property
    def openai(self) -> AsyncOpenAI:
        return self.make_client()

    def make_client(self, key: str = "none", url: str | None = None) -> AsyncOpenAI:
        return AsyncOpenAI(api_key=key, base_url=f"{url or self.url}/v1", max_retries=0)

    @asynccontextmanager
    async def connect(self, key: str = "none", url: str | None = None) -> AsyncIterator["Talk"]:
        """Connect to the server, or to `url`, what is in front of it."""
        async with self.make_client(key, url) as client, client.responses.connect() as connection:
            yield Talk(connection)

    @property
    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=60)


@dataclass(eq=False)
class Talk:
    """A connection of OpenAI's client. Everything that is read is an object of its types."""

    connection: AsyncResponsesConnection

    async def create(self, **fields: Any) -> None:
        body = {"model": MODEL, "input": "How many?", "temperature": 0, **fields}
        await self.send({"type": "response.create", **body})

    async def send(self, message: Any) -> None:
        """Send any message, right or wrong."""
        raw = message if isinstance(message, str | bytes) else json.dumps(message)
        await self.connection.send_raw(raw)

    async def steer(self, response_id: str, given: Any) -> None:
        await self.connection.response.steer(previous_response_id=response_id, input=given)

    async def read(self) -> Json:
        async with asyncio.timeout(END_SECONDS):
            event = await self.connection.recv()
        found: Json = event.to_dict(mode="json")
        return found

    async def read_until(self, *kinds: str) -> list[Json]:
        """Return all events up to one of these types."""
        events = [await self.read()]
        while events[-1]["type"] not in kinds:
            events.append(await self.read())
        return events

    async def respond(self, **fields: Any) -> list[Json]:
        """Return the events of one response."""
        await self.create(**fields)
        return await self.read_until(*LAST)


@asynccontextmanager
async def run_sockets(
    source: LogitsSource | str, max_model_len: int = 4096, **options: Any
) -> AsyncIterator[SocketServer]:
    """Run a server until the block ends."""
    listener = bind_listener("127.0.0.1", 0)
    services = make_services(**options)
    engine = ScriptedEngine(
        wants(source) if isinstance(source, str) else source,
        TOKENIZER,
        PROFILES["special markers"],
        model_name=MODEL,
        max_model_len=max_model_len,
    )

    async def load() -> Sequence[LoadedModel]:
        return [LoadedModel(engine)]

    config = HttpConfig(
        create_app(services),
        ConnectionLimits.of(services.settings),
        socket_paths=SOCKET_PATHS,
        max_message_bytes=services.settings.max_body_bytes,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    url = format_url(listener)
    life = Lifecycle(HttpServer(config), listener, services, load, url)
    running = asyncio.create_task(life.run())
    while not services.slot.is_ready:  # noqa: ASYNC110 - as a client polls
        await asyncio.sleep(0.01)
    try:
        yield SocketServer(url, services, engine, life, running)
    finally:
        life._stopping.set()
        await asyncio.wait_for(running, END_SECONDS)


@pytest_asyncio.fixture
async def seven() -> AsyncIterator[SocketServer]:
    """A server whose model thinks a little and answers."""
    async with run_sockets("<think>Two and five.</think>Seven.") as server:
        yield server
