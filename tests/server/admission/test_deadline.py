"""The time limit of a request: a 504, or the last event of a stream, and the tokens counted."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.server.admission.test_admission_app import BODIES, is_at_rest, read_error, serve_busy
from tests.server.conftest import Serve, wants
from tests.server.engine.test_engine_failures import ENDLESS, wait_until_running

SECONDS = 1.0


@pytest.mark.parametrize("path", BODIES)
async def test_a_request_that_takes_too_long_is_504_and_is_aborted_in_the_engine(
    serve: Serve, path: str
) -> None:
    served = serve(wants(ENDLESS), max_model_len=100_000, max_request_seconds=1e-9)
    response = await served.http.post(path, json=BODIES[path])
    assert response.status_code == 504, response.text
    error = read_error(response)
    assert "longer than this server allows" in error["message"]
    assert path == "/v1/messages" or error["code"] == "deadline_exceeded"
    assert is_at_rest(served)


@pytest.mark.parametrize("path", BODIES)
async def test_a_stream_ends_with_the_error(serve: Serve, path: str) -> None:
    served = serve(wants(ENDLESS), max_model_len=100_000, max_request_seconds=1e-9)
    body = {**BODIES[path], "stream": True}
    response = await served.http.post(path, json=body)
    assert response.status_code == 200
    data = [
        line.removeprefix("data: ")
        for line in response.text.splitlines()
        if line.startswith("data: ")
    ]
    last: dict[str, Any] = json.loads(data[-1])
    failed = last["response"] if path == "/v1/responses" else last
    assert "longer than this server allows" in failed["error"]["message"]
    assert is_at_rest(served)


async def test_what_was_generated_before_the_deadline_is_counted(serve: Serve) -> None:
    served = serve(wants(ENDLESS), max_model_len=100_000, max_request_seconds=SECONDS)
    response = await served.chat(max_thinking_tokens=50_000, temperature=0, n=2)
    assert response.status_code == 504, response.text
    text = (await served.http.get("/metrics")).text
    counted = sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith(("thinking_reasoning_tokens_total ", "thinking_answer_tokens_total "))
    )
    # A token of each choice may have been in flight.
    assert 0 < counted <= served.engine.num_generated <= counted + 4
    assert is_at_rest(served)


async def test_the_wait_counts_towards_the_time_limit(serve: Serve) -> None:
    served, holder = serve_busy(serve)
    await wait_until_running(served.engine, 1)
    # The time limit of the holding request has already been read.
    settings = served.services.settings.model_copy(update={"max_request_seconds": SECONDS})
    served.app.state.services = replace(served.services, settings=settings)
    response = await asyncio.wait_for(served.chat(), 10)
    assert (response.status_code, read_error(response)["code"]) == (504, "deadline_exceeded")
    holder.leave()
    await holder.task
    assert is_at_rest(served)


async def test_a_request_within_the_limit_is_unchanged(serve: Serve) -> None:
    plain, timed = (
        serve(wants("so</think>Seven.")),
        serve(wants("so</think>Seven."), max_request_seconds=3600),
    )
    replies = [(await served.chat(temperature=0)).json() for served in (plain, timed)]
    assert replies[0]["choices"][0]["message"] == replies[1]["choices"][0]["message"]
    assert replies[0]["usage"] == replies[1]["usage"]
