"""OpenAI's WebSocket mode, read by its own client: responses, one after the other and at once."""

import asyncio
import re

import pytest

from tests.server.api.openai.responses.socket.conftest import (
    LAST,
    SocketServer,
    run_sockets,
)
from tests.server.conftest import MODEL

THOUGHT = "<think>Two and five.</think>Seven."


def answer_of(events: list[dict]) -> str:  # type: ignore[type-arg]
    return str(events[-1]["response"]["output"][-1]["content"][0]["text"])


async def test_a_response_has_the_events_of_a_stream(seven: SocketServer) -> None:
    async with seven.connect() as talk:
        events = await talk.respond()
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    async with seven.openai as client:
        stream = await client.responses.create(
            model=MODEL, input="How many?", temperature=0, stream=True
        )
        wanted = [event.type async for event in stream]
    assert [event["type"] for event in events] == wanted
    assert answer_of(events) == "Seven."


async def test_responses_come_one_after_the_other(seven: SocketServer) -> None:
    async with seven.connect() as talk:
        for _ in range(3):
            await talk.create()
        ids = []
        for _ in range(3):
            events = await talk.read_until(*LAST)
            assert events[0]["type"] == "response.created"
            assert {e["response"]["id"] for e in events if "response" in e} == {
                events[0]["response"]["id"]
            }
            ids.append(events[0]["response"]["id"])
    assert len(set(ids)) == 3
    async with seven.http as http:
        text = (await http.get("/metrics")).text
    # Each is a request of its own, and so is the handshake.
    assert 'thinking_http_requests_total{endpoint="/v1/responses",status="200"} 3.0' in text
    assert 'thinking_http_requests_total{endpoint="/v1/responses",status="101"} 1.0' in text


async def test_lanes_run_at_once_and_name_their_events() -> None:
    async with run_sockets("<think>" + "z" * 50_000, max_model_len=60_000) as server:  # noqa: SIM117
        async with server.connect() as talk:
            for lane in ("a", "b"):
                await talk.create(stream_id=lane, max_thinking_tokens=40_000)
            begun: set[str] = set()
            while begun != {"a", "b"}:  # the first goes on for long
                event = await talk.read()
                assert event["stream_id"] in ("a", "b")
                if event["type"] == "response.created":
                    begun.add(event["stream_id"])
            assert server.engine.num_running == 2


async def test_an_unstored_response_is_continued_on_its_connection_only(
    seven: SocketServer,
) -> None:
    async with seven.connect() as talk, seven.connect() as other:
        first = await talk.respond(store=False)
        assert first[-1]["response"]["store"] is False
        response_id = first[-1]["response"]["id"]
        second = await talk.respond(store=False, previous_response_id=response_id, input="And?")
        assert answer_of(second) == "Seven."
        used = [events[-1]["response"]["usage"]["input_tokens"] for events in (first, second)]
        assert used[1] > used[0] + len("How many?")
        [refusal] = await other.respond(previous_response_id=response_id)
        assert refusal["type"] == "error"
        assert refusal["status"] == 400
        assert refusal["error"]["code"] == "previous_response_not_found"
        assert refusal["error"]["param"] == "previous_response_id"
        # The connection goes on.
        assert answer_of(await other.respond()) == "Seven."
    async with seven.http as http:
        assert (await http.get(f"/v1/responses/{response_id}")).status_code == 404


async def test_a_stored_response_is_continued_anywhere(seven: SocketServer) -> None:
    async with seven.connect() as talk:
        response_id = (await talk.respond())[-1]["response"]["id"]
    async with seven.openai as client:
        follow = await client.responses.create(
            model=MODEL, input="And?", previous_response_id=response_id
        )
        assert follow.status == "completed"
    async with seven.connect() as talk:
        assert answer_of(await talk.respond(previous_response_id=response_id)) == "Seven."


async def test_a_request_is_made_ready_without_output(seven: SocketServer) -> None:
    async with seven.connect() as talk:
        events = await talk.respond(generate=False, store=False)
        assert [event["type"] for event in events] == [
            "response.created",
            "response.in_progress",
            "response.completed",
        ]
        ready = events[-1]["response"]
        assert ready["output"] == []
        assert ready["usage"]["total_tokens"] == 0
        assert seven.engine.num_generated == 0
        follow = await talk.respond(previous_response_id=ready["id"], input="Now.")
        assert answer_of(follow) == "Seven."


BAD = {
    "not JSON": ("{", "invalid_json", None),
    "not an object": ("[1]", "invalid_value", "type"),
    "no type": ('{"model": "scripted"}', "invalid_value", "type"),
    "another type": ('{"type": "session.update"}', "invalid_value", "type"),
    "a lane without a name": (
        '{"type": "response.create", "stream_id": ""}',
        "invalid_value",
        "stream_id",
    ),
    "no truth": ('{"type": "response.create", "generate": 1}', "invalid_value", "generate"),
    "background": (
        '{"type": "response.create", "input": "x", "background": true}',
        "invalid_value",
        "background",
    ),
    "an unknown response": (
        '{"type": "response.create", "input": "x", "previous_response_id": "resp_1"}',
        "previous_response_not_found",
        "previous_response_id",
    ),
    "no input": ('{"type": "response.create"}', "missing_field", "input"),
    "a misspelt field": (
        '{"type": "response.create", "input": "x", "max_tokens": 5}',
        "unknown_field",
        "max_tokens",
    ),
    "a wrong value": (
        '{"type": "response.create", "input": "x", "max_output_tokens": 0}',
        None,
        "max_output_tokens",
    ),
    "no target": (
        '{"type": "response.steer", "input": "x"}',
        "invalid_value",
        "previous_response_id",
    ),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_message_is_answered_and_the_connection_goes_on(
    seven: SocketServer, name: str
) -> None:
    message, code, param = BAD[name]
    async with seven.connect() as talk:
        for data in (message, message.encode()):
            await talk.send(data)
            event = await talk.read()
            assert event["type"] == "error"
            assert event["status"] == 400
            assert event["error"]["type"] == "invalid_request_error"
            assert event["error"]["param"] == param
            assert code is None or event["error"]["code"] == code
            assert "sequence_number" not in event
        assert answer_of(await talk.respond()) == "Seven."


async def test_too_much_waiting_is_refused() -> None:
    async with run_sockets("<think>" + "z" * 50_000, max_model_len=60_000) as server:  # noqa: SIM117
        async with server.connect() as talk:
            for _ in range(17):
                await talk.create(max_thinking_tokens=4_000)
            events = await talk.read_until("error")
            assert events[-1]["status"] == 429
            assert events[-1]["error"]["code"] == "too_many_waiting_responses"
            await talk.read_until("response.created")  # what came before goes on


async def test_a_lost_connection_ends_its_responses_and_settles_them() -> None:
    async with run_sockets("<think>" + "z" * 50_000, max_model_len=60_000) as server:
        async with server.connect() as talk:
            for lane in ("a", "b"):
                await talk.create(stream_id=lane, max_thinking_tokens=40_000)
                await talk.create(stream_id=lane, max_thinking_tokens=40_000)
            await talk.read_until("response.output_item.added")
            assert len(server.services.running) >= 1
        async with asyncio.timeout(10):
            while server.engine.num_running or len(server.services.running):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while server.lifecycle.http.num_open:  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
        async with server.http as http:
            text = (await http.get("/metrics")).text
        assert re.search(r"clients_left_total [12]\.0", text)
