"""A reward model on a real socket: scores are what the test says of a reply's text."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest_asyncio
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse

Judge = Callable[[dict[str, str]], Any]


@dataclass
class ScorerServer:
    """What it was asked, and how it answers."""

    url: str
    judge: Judge
    asked: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200


StartScorer = Callable[[Judge], "Any"]


@pytest_asyncio.fixture
async def start_scorer() -> AsyncIterator[StartScorer]:
    """Starts scorers of ours (``scorer_api: http``); ends them afterwards."""
    ended = asyncio.Event()
    running: list[asyncio.Task[None]] = []

    async def start(judge: Judge) -> ScorerServer:
        ready = asyncio.Event()
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        scorer = ScorerServer(f"http://127.0.0.1:{listener.getsockname()[1]}/score", judge)
        running.append(asyncio.create_task(_serve(scorer, listener, ready, ended)))
        await ready.wait()
        return scorer

    yield start
    ended.set()
    await asyncio.gather(*running)


async def _serve(
    scorer: ScorerServer, listener: socket.socket, ready: asyncio.Event, ended: asyncio.Event
) -> None:
    app = FastAPI()

    @app.post("/score")
    async def score(request: Request) -> JSONResponse:
        body = await request.json()
        scorer.asked.append(body)
        scores = [scorer.judge(candidate) for candidate in body["candidates"]]
        return JSONResponse({"scores": scores}, scorer.status)

    async with _serving(app, listener):
        ready.set()
        await ended.wait()


@asynccontextmanager
async def _serving(app: FastAPI, listener: socket.socket) -> AsyncIterator[None]:
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield
    server.should_exit = True
    await serving
