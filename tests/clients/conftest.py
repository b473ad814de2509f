"""Servers on real loopback sockets, each in its own thread, for the command line to call.

One is our app over the scripted engine; the other is a foreign server that implements just
enough of OpenAI's API.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response
from starlette.types import ASGIApp

from server.app import create_app
from server.engine.scripted import ScriptedEngine
from server.engine.scripted_model import WantedTokens
from tests.server.conftest import (
    MODEL,
    PROFILES,
    STOP_ID,
    TOKENIZER,
    VOCAB_SIZE,
    ids,
    make_services,
)

WAIT_SECONDS = 120.0
# Fewer tokens of thought than this, and the model below is wrong.
ENOUGH = 20


class ThoughtPaysModel:
    """Model that thinks for up to 40 tokens, then answers 42, or 7 after fewer than ENOUGH."""

    vocab_size = VOCAB_SIZE

    def compute_logits(self, prompt: Sequence[int], output: Sequence[int]) -> torch.Tensor:
        """See :class:`server.engine.scripted_model.LogitsSource`."""
        end = ids("</think>")[0]
        thought = output.index(end) if end in output else 0
        answer = "42" if thought >= ENOUGH else "7"
        text = f"{'a' * 40}</think>{answer}" if ids("<think>")[0] in output else answer
        if thought:
            text = answer
        return WantedTokens(VOCAB_SIZE, ids(text), STOP_ID).compute_logits(prompt, output[thought:])


@contextmanager
def serve_in_thread(app: ASGIApp, at_end: Callable[[], Any] | None = None) -> Iterator[str]:
    """Serve `app` in a thread and yield its URL with ``/v1``; its event loop awaits `at_end`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)

        async def serve() -> None:
            await server.serve(sockets=[listener])
            if at_end:
                await at_end()

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def our_url() -> Iterator[str]:
    """Our app, on a model for which thinking pays."""
    engine = ScriptedEngine(
        ThoughtPaysModel(), TOKENIZER, PROFILES["special markers"], model_name=MODEL
    )
    services = make_services()
    services.set_engine(engine)
    with serve_in_thread(create_app(services), engine.close) as url:
        yield url
    asyncio.run(services.close())


@dataclass
class ForeignServer:
    """Foreign server: records each body, answers ``42`` and reports no thinking tokens.

    `refuses`: texts in a question that cause a 400. From the `closed_after`-th request on it
    answers nothing until `gate` is set; `reached` is set when a request waits there.
    """

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    closed_after: int | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)

    def list_questions(self) -> list[tuple[str, Any]]:
        """Return the questions it received, with their budgets."""
        return [
            (body["messages"][-1]["content"], body.get("max_thinking_tokens"))
            for body in self.bodies
        ]

    async def answer(self, request: Request) -> Response:
        """Handle ``POST /v1/chat/completions``."""
        body = await request.json()
        self.bodies.append(body)
        if self.closed_after is not None and len(self.bodies) > self.closed_after:
            self.reached.set()
            while not self.gate.is_set():  # noqa: ASYNC110 - it is set in another thread
                await asyncio.sleep(0.01)
        question = body["messages"][-1]["content"]
        if any(text in question for text in self.refuses):
            error = {"message": f"no {question}", "type": "invalid_request_error", "code": None}
            return JSONResponse({"error": error}, 400)
        message = {"role": "assistant", "content": "It is 42."}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        head = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return JSONResponse({**head, "choices": [choice], "usage": usage})

    async def list_models(self, request: Request) -> Response:
        """Handle ``GET /v1/models``."""
        card = {"id": "m", "object": "model", "created": 1, "owned_by": "x"}
        return JSONResponse({"object": "list", "data": [card]})


@pytest.fixture
def foreign_server() -> Iterator[ForeignServer]:
    """A foreign server."""
    made = ForeignServer()
    app = FastAPI()
    app.add_route("/v1/chat/completions", made.answer, ["POST"])
    app.add_route("/v1/models", made.list_models)
    with serve_in_thread(app) as url:
        made.url = url
        yield made
        made.gate.set()
