"""A conversation whose server refuses, is gone, or dies: a line, and the question comes back."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.responses import Response

from tests.clients.chat.conftest import Start
from tests.clients.conftest import serve_in_thread
from tests.clients.pseudo_terminal import CTRL_C

NOWHERE = "http://127.0.0.1:9/v1"
PROMPT = "thoughts off"
HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


@dataclass
class UnreliableServer:
    """A server that fails as a question asks it to; `bodies` are those that it was sent."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        """Handle ``POST /v1/chat/completions``."""
        body = await request.json()
        self.bodies.append(body)
        match body["messages"][-1]["content"]:
            case "key":
                return refuse(401, "the API key is\x1b[2J\nwrong")
            case "quota":
                return refuse(429, "the quota is used up", {"retry-after": "17"})
            case "progress" if "include_thinking_progress" in body["stream_options"]:
                return refuse(400, "unknown: stream_options.include_thinking_progress")
            case question:
                return StreamingResponse(write_events(question), media_type="text/event-stream")

    async def list_models(self, request: Request) -> Response:
        """Handle ``GET /v1/models``."""
        card = {"id": "m", "object": "model", "created": 1, "owned_by": "x"}
        return JSONResponse({"object": "list", "data": [card]})


def refuse(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    error = {"message": message, "type": "x", "param": None, "code": None}
    return JSONResponse({"error": error}, status, headers)


async def write_events(question: str) -> AsyncIterator[str]:
    """Yield a stream that ends as `question` says."""
    yield make_event({"content": "Begun"})
    match question:
        case "dies":
            return
        case "reports":
            yield f"data: {json.dumps({'error': {'message': 'the engine has died'}})}\n\n"
        case "thinks":
            await asyncio.Event().wait()
        case _:
            yield make_event({"content": " and done."}, "stop")
            yield "data: [DONE]\n\n"


def make_event(delta: dict[str, str], finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return f"data: {json.dumps({**HEAD, 'choices': [choice], 'usage': None})}\n\n"


@pytest.fixture
def unreliable_server() -> Iterator[UnreliableServer]:
    """A server that fails when asked to."""
    made = UnreliableServer()
    app = FastAPI()
    app.add_route("/v1/chat/completions", made.answer, ["POST"])
    app.add_route("/v1/models", made.list_models)
    with serve_in_thread(app) as url:
        made.url = url
        yield made


@pytest.mark.parametrize(
    ("question", "line"),
    [
        ("key", "error: {url}: 401: the API key is[2J wrong"),
        ("quota", "error: {url}: 429: the quota is used up; retry after 17 s"),
        ("dies", "error: the connection ended before the reply did"),
        ("reports", "error: {url}: the engine has died"),
    ],
)
def test_a_failure_is_one_line_and_the_question_comes_back(
    unreliable_server: UnreliableServer, start: Start, question: str, line: str
) -> None:
    with start(unreliable_server.url, columns=120) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type(question)
        terminal.wait_for(line.format(url=unreliable_server.url))
        text = terminal.wait_for(f"> {question}", count=2)
        assert ("Begun" in text) == (question in ("dies", "reports"))
        terminal.type(CTRL_C, end="")
        terminal.wait_until(lambda text: text.count(f"> {question}") == 1)
        terminal.type("again")
        terminal.wait_for("Begun and done.")
    assert [message["content"] for message in unreliable_server.bodies[-1]["messages"]] == ["again"]


def test_a_server_that_is_gone_is_said_at_once_and_again(start: Start) -> None:
    with start(NOWHERE, columns=120) as terminal:
        terminal.wait_for(f"error: {NOWHERE}: cannot be reached", "no model yet")
        terminal.type("anybody?")
        terminal.wait_for("cannot be reached", count=2)
        terminal.wait_for("> anybody?", count=2)


def test_a_question_that_is_too_long_comes_back(chat_url: str, start: Start) -> None:
    question = "x" * 5000
    with start(chat_url, columns=120, lines=60) as terminal:
        terminal.wait_for(PROMPT)
        terminal.paste(question.encode())
        terminal.type("")
        terminal.wait_for("error: ", "400: ")
        terminal.wait_for("> xxxx", count=2)
        terminal.type(CTRL_C, end="")
        terminal.wait_until(lambda text: text.count("> xxxx") == 1)
        terminal.type("short")
        terminal.wait_for("Answer to short")


def test_a_server_without_progress_is_asked_without(
    unreliable_server: UnreliableServer, start: Start
) -> None:
    with start(unreliable_server.url) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("progress")
        terminal.wait_for("Begun and done.")
    assert [len(body["stream_options"]) for body in unreliable_server.bodies] == [2, 1]


def test_a_reply_of_a_server_that_cannot_end_thoughts_is_stopped(
    unreliable_server: UnreliableServer, start: Start
) -> None:
    with start(unreliable_server.url) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("thinks")
        terminal.wait_for("Begun")
        terminal.type("", end=CTRL_C)
        terminal.wait_for("[stopped; what was written")
