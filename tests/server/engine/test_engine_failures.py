"""Disconnecting clients, dying engines, and servers that are not ready."""

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest
from fastapi import FastAPI

from server.app import create_app
from server.engine.scripted import ScriptedEngine
from tests.server.conftest import (
    PROFILES,
    TOKENIZER,
    Serve,
    chat_body,
    make_scope,
    make_services,
    wants,
)

ENDLESS = "z" * 100_000


class Caller:
    """A client that reads event by event and may leave (httpx's transport cannot)."""

    def __init__(
        self,
        app: FastAPI,
        path: str = "/v1/chat/completions",
        body: dict[str, Any] | None = None,
        /,
        **fields: Any,
    ) -> None:
        self.received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._body: bytes | None = json.dumps(body or chat_body(**fields)).encode()
        self._left = asyncio.Event()
        self.task = asyncio.create_task(app(make_scope(path), self._receive, self._send))

    def leave(self) -> None:
        """Close the connection."""
        self._left.set()

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.received.put_nowait(message)

    async def read_until(self, text: str) -> str:
        """Read until `text` has arrived."""
        read = ""
        while text not in read:
            message = await asyncio.wait_for(self.received.get(), 10)
            read += message.get("body", b"").decode()
        return read


async def wait_until_running(engine: ScriptedEngine, num_requests: int) -> None:
    """Run the event loop until `num_requests` requests run."""
    async with asyncio.timeout(10):
        while engine.num_running != num_requests:  # noqa: ASYNC110 (nothing to wait on)
            await asyncio.sleep(0)


@pytest.mark.parametrize("num_choices", [1, 4])
@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("budget", [0, 50_000])
async def test_leaving_aborts_every_choice(
    serve: Serve, num_choices: int, is_streamed: bool, budget: int
) -> None:
    served = serve(wants(ENDLESS), max_model_len=100_000)
    caller = Caller(
        served.app, stream=is_streamed, n=num_choices, max_thinking_tokens=budget, temperature=0
    )
    await wait_until_running(served.engine, num_choices)
    caller.leave()
    await asyncio.wait_for(caller.task, 10)
    assert served.engine.num_running == 0
    metrics = (await served.http.get("/metrics")).text
    cause = "cancelled" if budget else "none"
    assert f'thinking_stops_total{{cause="{cause}"}} {num_choices}.0' in metrics


async def test_silent_stream_is_kept_alive(serve: Serve) -> None:
    served = serve(wants(ENDLESS), max_model_len=100_000, keep_alive_seconds=0.02)
    caller = Caller(served.app, stream=True, max_thinking_tokens=50_000, temperature=0)
    first = await caller.read_until(": keep-alive\n")
    assert '"role":"assistant"' in first  # at once, before any token
    assert '"content":"z' not in first
    caller.leave()
    await asyncio.wait_for(caller.task, 10)


@pytest.mark.parametrize("num_choices", [1, 3])
async def test_death_is_503_before_and_an_event_after_the_stream_began(
    serve: Serve, num_choices: int
) -> None:
    served = serve(wants(ENDLESS), max_model_len=100_000)
    fields = {"n": num_choices, "max_thinking_tokens": 0, "temperature": 0}
    streamed = Caller(served.app, stream=True, **fields)
    plain = asyncio.create_task(served.chat(**fields))
    await streamed.read_until('"content":"z')
    await wait_until_running(served.engine, 2 * num_choices)
    served.engine.kill()

    text = await streamed.read_until('"error"')
    await asyncio.wait_for(streamed.task, 10)
    event = json.loads(text.rpartition("data: ")[2])
    assert event["error"]["code"] == "engine_dead"
    assert "[DONE]" not in text
    assert (await plain).status_code == 503
    for response in (await served.chat(), await served.http.get("/health")):
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "engine_dead"
        assert int(response.headers["retry-after"]) > 0
    with pytest.raises(openai.InternalServerError):
        await served.openai.models.list()


async def test_not_ready_and_draining_are_503(serve: Serve) -> None:
    services = make_services()
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        for path in ("/health", "/v1/models", "/v1/models/x"):
            response = await http.get(path)
            assert response.status_code == 503
            assert response.json()["error"]["code"] == "not_ready"
        assert (await http.post("/v1/chat/completions", json={})).status_code == 503
        assert "thinking_engine_up 0.0" in (await http.get("/metrics")).text
        served = serve()
        services.set_engine(served.engine)
        assert (await http.get("/health")).status_code == 200
        assert "thinking_engine_up 1.0" in (await http.get("/metrics")).text
        services.slot.is_draining = True
        response = await http.get("/health")
        assert response.json()["error"]["code"] == "draining"


class BrokenLogits:
    """Fails unexpectedly in the API process."""

    vocab_size = len(TOKENIZER)

    def compute_logits(self, prompt: Any, output: Any) -> Any:
        raise AssertionError("never read")


class BrokenEngine(ScriptedEngine):
    """Raises an error that no engine should raise."""

    async def generate(self, request: Any) -> Any:
        raise ZeroDivisionError("secret thought")
        yield


async def test_unforeseen_error_tells_nothing() -> None:
    services = make_services()
    services.set_engine(
        BrokenEngine(BrokenLogits(), TOKENIZER, PROFILES["special markers"], model_name="scripted")
    )
    transport = httpx.ASGITransport(create_app(services), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        plain = await http.post("/v1/chat/completions", json=chat_body())
        streamed = await http.post("/v1/chat/completions", json=chat_body(stream=True))
    assert plain.status_code == 500
    assert plain.headers["x-request-id"]
    for response in (plain, streamed):
        assert "internal_error" in response.text
        assert "secret" not in response.text
        assert "ZeroDivision" not in response.text


async def test_metrics_count_choices_and_requests(serve: Serve) -> None:
    served, other = serve(wants("hm</think>fine")), serve()
    await served.chat(temperature=0)
    await served.chat(model="<b>other</b>")
    await served.http.get("/nope/<b>")
    text = (await served.http.get("/metrics")).text
    for line in (
        "thinking_reasoning_tokens_total 4.0",
        "thinking_answer_tokens_total 4.0",
        "thinking_injected_tokens_total 1.0",
        'thinking_stops_total{cause="natural"} 1.0',
        'thinking_http_requests_total{endpoint="/v1/chat/completions",status="200"} 1.0',
        'thinking_http_requests_total{endpoint="/v1/chat/completions",status="404"} 1.0',
        'thinking_http_requests_total{endpoint="unknown",status="404"} 1.0',
        "thinking_time_to_first_answer_token_seconds_count 1.0",
        "thinking_requests_in_flight 1.0",
        "python_info",
    ):
        assert line in text, line
    assert "<b>" not in text
    assert "thinking_answer_tokens_total 0.0" in (await other.http.get("/metrics")).text
