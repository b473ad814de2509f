"""Servers on real sockets in this process, alone or two on one Redis, with OpenAI's client."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvicorn
from cryptography.fernet import Fernet
from openai import AsyncOpenAI
from openai.types.responses import Response

from server.app import create_app
from server.engine.scripted import ScriptedEngine
from server.serve import bind_listener, format_url
from server.settings.settings import ServerSettings
from server.state import Services, open_services
from tests.server.conftest import MODEL, PROFILES, TOKENIZER, wants

ENDLESS = "z" * 90_000
THOUGHT, ANSWER = "carry the one of forty", "It is forty-two, and no more than that."
SCRIPT = f"{THOUGHT}</think>{ANSWER}"
THOUGHT_KEYS = Fernet.generate_key().decode()
END_SECONDS = 60.0  # a machine that runs other tests may stand still for a while
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Server:
    """One server. `client` is a client without a key."""

    url: str
    engine: ScriptedEngine
    services: Services
    client: AsyncOpenAI

    def with_key(self, secret: str) -> AsyncOpenAI:
        return self.client.with_options(api_key=secret)

    async def create(self, **fields: Any) -> Response:
        """Create a response in the background."""
        made: Response = await self.client.responses.create(**body(**fields))
        return made

    async def poll(self, response_id: str, client: AsyncOpenAI | None = None) -> Response:
        """Return the response once it is finished."""
        responses = (client or self.client).responses
        async with asyncio.timeout(END_SECONDS):
            while True:
                found = await responses.retrieve(response_id)
                if found.status not in ("queued", "in_progress"):
                    return found
                await asyncio.sleep(0.01)

    async def read(self, response_id: str, after: int | None = None, **query: Any) -> list[Json]:
        """Return all events after a number, until the stream ends."""
        return [event async for event in self.stream(response_id, after, **query)]

    async def stream(
        self, response_id: str, after: int | None = None, **query: Any
    ) -> AsyncGenerator[Json, None]:
        """Yield the events after a number as they come."""
        if after is not None:
            query["starting_after"] = after
        async with asyncio.timeout(END_SECONDS):
            stream = await self.client.responses.retrieve(response_id, stream=True, **query)
            async with stream:
                async for event in stream:
                    yield event.to_dict(mode="json", warnings=False)

    async def wait_idle(self) -> None:
        """Wait until no reply runs in the background, and none in the engine."""
        async with asyncio.timeout(END_SECONDS):
            while self.services.background.num_running or self.engine.num_running:  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def wait_running(self, num_requests: int = 1) -> None:
        async with asyncio.timeout(END_SECONDS):
            while self.engine.num_running != num_requests:  # noqa: ASYNC110
                await asyncio.sleep(0.001)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers with the same responses; with a store in memory, they are one."""

    one: Server
    other: Server

    @property
    def both(self) -> Sequence[Server]:
        return (self.one, self.other)


def body(**fields: Any) -> Json:
    """Return a small valid body of a response in the background."""
    return {
        "model": MODEL,
        "input": "How many?",
        "temperature": 0,
        "background": True,
        **fields,
    }


def endless(**fields: Any) -> Json:
    """Return the body of a response that takes longer than any test."""
    return body(max_output_tokens=80_000, extra_body={"max_thinking_tokens": 0}, **fields)


@asynccontextmanager
async def open_server(text: str = SCRIPT, **options: Any) -> AsyncIterator[Server]:
    """Serve a scripted engine that writes `text`."""
    engine = ScriptedEngine(
        wants(text),
        TOKENIZER,
        PROFILES["special markers"],
        model_name=MODEL,
        max_model_len=100_000 if text == ENDLESS else 4_000,
    )
    services = open_services(ServerSettings(**options))
    services.set_engine(engine)
    listener = bind_listener("127.0.0.1", 0)
    config = uvicorn.Config(
        create_app(services), log_level="error", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    server.capture_signals = suppress  # type: ignore[method-assign, assignment]
    serving = asyncio.create_task(server.serve([listener]))
    url = format_url(listener)
    client = AsyncOpenAI(api_key="none", base_url=f"{url}/v1", max_retries=0, timeout=END_SECONDS)
    try:
        yield Server(url, engine, services, client)
    finally:
        await client.close()
        server.should_exit = True
        await serving
        await services.close()
        await engine.close()


@asynccontextmanager
async def open_pair(
    redis_port: int | None, text: str = SCRIPT, **options: Any
) -> AsyncIterator[Pair]:
    """Serve one server with its own memory, or two on a Redis."""
    if redis_port is None:
        async with open_server(text, **options) as server:
            yield Pair(server, server)
        return
    options = {"response_store": f"redis://127.0.0.1:{redis_port}"} | options
    # A busy machine is no outage.
    options = {"response_store_timeout_seconds": 10.0} | options
    async with open_server(text, **options) as one, open_server(text, **options) as other:
        yield Pair(one, other)
