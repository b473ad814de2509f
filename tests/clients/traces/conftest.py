"""Our app with a trace store on a real socket, and requests to it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.app import create_app
from server.engine.scripted import ScriptedEngine
from tests.clients.conftest import ThoughtPaysModel, serve_in_thread
from tests.server.conftest import MODEL, PROFILES, TOKENIZER, make_services

THOUGHT = "a" * 40


@dataclass
class Traced:
    """Server that stores traces; it answers 42 with a thought and 7 without one."""

    url: str

    def ask(self, question: str, *, thinks: bool = True, **fields: Any) -> str:
        """Send a question and return the id of the completion."""
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": question}],
            "temperature": 0,
            "max_thinking_tokens": 64 if thinks else 0,
            **fields,
        }
        reply = httpx.post(f"{self.url}/chat/completions", json=body, timeout=60)
        reply.raise_for_status()
        return str(reply.json()["id"])

    def judge(self, reply_id: str, score: float, **fields: Any) -> None:
        """Post feedback on a reply."""
        body = {"id": reply_id, "score": score, **fields}
        httpx.post(f"{self.url}/thinking/feedback", json=body, timeout=60).raise_for_status()

    def list_traces(self) -> list[dict[str, Any]]:
        """Return all traces."""
        text = httpx.get(f"{self.url}/thinking/traces", timeout=60).raise_for_status().text
        return [httpx.Response(200, text=line).json() for line in text.splitlines()]


StartTraced = Callable[..., Traced]


@pytest.fixture
def start_traced(tmp_path: Path) -> Iterator[StartTraced]:
    """Return a function that starts such servers with further settings."""
    with ExitStack() as stack:

        def start(**options: Any) -> Traced:
            engine = ScriptedEngine(
                ThoughtPaysModel(), TOKENIZER, PROFILES["special markers"], model_name=MODEL
            )
            settings = {"trace_store": str(tmp_path / "traces.sqlite"), **options}
            services = make_services(**settings)
            stack.callback(lambda: asyncio.run(services.close()))
            services.set_engine(engine)
            return Traced(stack.enter_context(serve_in_thread(create_app(services), engine.close)))

        yield start


@pytest.fixture
def traced(start_traced: StartTraced) -> Traced:
    """A server that stores traces."""
    return start_traced()
