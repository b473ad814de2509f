"""The app behind a real HTTP server, for fuzzers that bring their own client."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from fastapi import FastAPI

from server.app import create_app
from server.engine.scripted import ScriptedEngine
from server.engine.scripted_model import RandomLogits
from tests.server.conftest import MODEL, PROFILES, TOKENIZER, VOCAB_SIZE, make_services

# Long enough for a thought and an answer, short enough for thousands of replies.
MAX_MODEL_LEN = 160


@pytest.fixture(scope="session")
def base_url() -> Iterator[str]:
    """Base URL of a server on a scripted engine, in its own thread."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # requests sent before the server is ready wait
        server = uvicorn.Server(uvicorn.Config(_create_app, factory=True, log_level="error"))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(30)


def _create_app() -> FastAPI:
    engine = ScriptedEngine(
        RandomLogits(VOCAB_SIZE),
        TOKENIZER,
        PROFILES["special markers"],
        model_name=MODEL,
        max_model_len=MAX_MODEL_LEN,
    )
    services = make_services()
    services.set_engine(engine)
    return create_app(services)
