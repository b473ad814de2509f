"""A response in the background is the response that its client would have had by waiting."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx
import openai
import pytest

from tests.server.api.openai.responses.background.conftest import MakePair
from tests.server.api.openai.responses.background.servers import (
    ANSWER,
    ENDLESS,
    THOUGHT,
    Server,
    body,
    endless,
)
from tests.server.keys.conftest import ALICE, BOB, KeyFile, make_entry, to_bearer

VARYING = ("id", "created_at", "completed_at", "background", "thinking")


def strip(response: Any) -> dict[str, Any]:
    """Return a response without what differs from one to the next."""
    fields = response.to_dict(mode="json")
    for item in fields["output"]:
        del item["id"]
    return {name: value for name, value in fields.items() if name not in VARYING}


async def test_it_is_queued_then_written_and_equals_one_that_was_waited_for(
    serve_pair: MakePair,
) -> None:
    pair = await serve_pair()
    begun = await pair.one.create()
    assert begun.status in ("queued", "in_progress")
    assert (begun.background, begun.output) == (True, [])
    ended = await pair.other.poll(begun.id)
    waited = await pair.one.client.responses.create(**body(background=False))
    assert ended.output_text == ANSWER
    assert strip(ended) == strip(waited)
    assert ended.id == begun.id
    used = (ended.model_extra or {})["thinking"]["used"]
    assert ended.usage is not None
    assert ended.usage.output_tokens_details.reasoning_tokens == used > 0


async def test_its_events_are_those_of_a_stream_after_two_that_say_it_is_queued(
    serve_pair: MakePair,
) -> None:
    pair = await serve_pair()
    begun = await pair.one.create()
    events = await pair.other.read(begun.id)
    stream = await pair.one.client.responses.create(stream=True, **body(background=False))
    kinds = [event.type async for event in stream]
    queued = ["response.created", "response.queued"]
    assert [event["type"] for event in events] == [*queued, *kinds[1:]]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    statuses = [event["response"]["status"] for event in events[:3]]
    assert statuses == ["queued", "queued", "in_progress"]


async def test_openais_stream_helper_goes_on_from_any_event(serve_pair: MakePair) -> None:
    pair = await serve_pair()
    begun = await pair.one.create()
    async with pair.other.client.responses.stream(response_id=begun.id, starting_after=5) as stream:
        numbers = [event.sequence_number async for event in stream]
        final = await stream.get_final_response()
    assert numbers == list(range(6, 6 + len(numbers)))
    assert final.output_text == ANSWER


async def test_it_goes_on_without_the_client_that_streams_it(serve_pair: MakePair) -> None:
    pair = await serve_pair()
    stream = await pair.one.client.responses.create(stream=True, **body())
    first = await anext(aiter(stream))
    await stream.close()
    ended = await pair.other.poll(first.response.id)
    assert ended.output_text == ANSWER
    await pair.one.wait_idle()
    assert pair.one.services.metrics.requests.clients_left._value.get() == 0


async def test_a_hidden_thought_is_in_no_event_and_in_no_state(serve_pair: MakePair) -> None:
    pair = await serve_pair()
    begun = await pair.one.create()
    events = await pair.other.read(begun.id)
    ended = await pair.other.poll(begun.id)
    assert THOUGHT not in str(events) + ended.to_json()
    assert ANSWER in str(events)


async def test_a_conversation_goes_on_from_it_with_its_thought(serve_pair: MakePair) -> None:
    pair = await serve_pair()
    begun = await pair.one.create()
    await pair.other.poll(begun.id)
    waited = await pair.one.client.responses.create(**body(background=False))
    follow_ups = [
        await pair.other.client.responses.create(
            **body(background=False, input="And now?", previous_response_id=previous)
        )
        for previous in (begun.id, waited.id)
    ]
    lengths = {follow_up.usage.input_tokens for follow_up in follow_ups if follow_up.usage}
    assert len(lengths) == 1
    items = [item async for item in pair.other.client.responses.input_items.list(begun.id)]
    assert [item.type for item in items] == ["message"]


async def test_no_conversation_goes_on_from_one_that_is_not_finished(serve_pair: MakePair) -> None:
    pair = await serve_pair(ENDLESS)
    begun = await pair.one.create(**endless())
    with pytest.raises(openai.BadRequestError, match="completed or incomplete") as caught:
        await pair.other.client.responses.create(**body(previous_response_id=begun.id))
    assert caught.value.param == "previous_response_id"


async def test_cancelling_ends_it_and_keeps_what_was_written(serve_pair: MakePair) -> None:
    pair = await serve_pair(ENDLESS)
    begun = await pair.one.create(**endless())
    reading = asyncio.create_task(pair.other.read(begun.id))
    async for event in pair.one.stream(begun.id):
        if event["type"] == "response.output_text.delta":
            break
    cancelled = await pair.other.client.responses.cancel(begun.id)
    assert cancelled.status == "cancelled"
    assert cancelled.output_text.startswith("z")
    assert cancelled.usage is not None
    assert cancelled.usage.output_tokens >= len(cancelled.output_text) > 0
    assert (cancelled.model_extra or {})["thinking"]["stop"] == "none"
    await pair.one.wait_idle()
    again = await pair.one.client.responses.cancel(begun.id)
    assert again == cancelled == await pair.other.client.responses.retrieve(begun.id)
    *_, last = await reading
    assert last["type"] == "response.incomplete"
    assert last["response"] == cancelled.to_dict(mode="json")
    assert await pair.other.read(begun.id, last["sequence_number"]) == []


async def test_cancelling_what_has_ended_returns_it(serve_pair: MakePair) -> None:
    pair = await serve_pair()
    begun = await pair.one.create()
    ended = await pair.other.poll(begun.id)
    assert await pair.other.client.responses.cancel(begun.id) == ended


async def test_deleting_ends_it_and_leaves_nothing(serve_pair: MakePair) -> None:
    pair = await serve_pair(ENDLESS)
    begun = await pair.one.create(**endless())
    await pair.one.wait_running()
    await pair.other.client.responses.delete(begun.id)
    await pair.one.wait_idle()
    for server in pair.both:
        with pytest.raises(openai.NotFoundError):
            await server.client.responses.retrieve(begun.id)
        with pytest.raises(openai.NotFoundError):
            await server.client.responses.delete(begun.id)


async def test_an_error_in_the_middle_fails_it(serve_pair: MakePair) -> None:
    pair = await serve_pair(ENDLESS)
    begun = await pair.one.create(**endless())
    await pair.one.wait_running()
    pair.one.engine.abort_all()
    failed = await pair.other.poll(begun.id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert "stopped this request" in failed.error.message
    with pytest.raises(openai.APIError, match="stopped this request"):
        await pair.other.read(begun.id)


async def test_its_time_limit_is_that_of_a_request(serve_pair: MakePair) -> None:
    pair = await serve_pair(ENDLESS, max_request_seconds=0.5)
    begun = await pair.one.create(**endless())
    failed = await pair.other.poll(begun.id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert "longer than this server allows" in failed.error.message
    await pair.one.wait_idle()


async def test_it_waits_for_its_turn_like_any_request(serve_pair: MakePair) -> None:
    pair = await serve_pair(ENDLESS, max_concurrent_requests=1, max_queued_requests=1)
    first = await pair.one.create(**endless())
    second = await pair.one.create(**endless())
    await pair.one.wait_running()
    with pytest.raises(openai.RateLimitError):
        await pair.one.create(**endless())
    assert (await pair.other.client.responses.retrieve(second.id)).status == "queued"
    await pair.other.client.responses.cancel(first.id)
    async for event in pair.other.stream(second.id):
        if event["type"] == "response.in_progress":
            break
    assert (await pair.other.client.responses.retrieve(second.id)).status == "in_progress"
    await pair.other.client.responses.cancel(second.id)
    await pair.one.wait_idle()
    assert pair.one.services.admission.num_held == 0


async def test_a_wait_that_is_too_long_fails_it(serve_pair: MakePair) -> None:
    pair = await serve_pair(ENDLESS, max_concurrent_requests=1, queue_timeout_seconds=0.2)
    await pair.one.create(**endless())
    second = await pair.one.create(**endless())
    failed = await pair.other.poll(second.id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.code == "rate_limit_exceeded"


async def test_one_that_waits_can_be_cancelled(serve_pair: MakePair) -> None:
    pair = await serve_pair(ENDLESS, max_concurrent_requests=1)
    await pair.one.create(**endless())
    second = await pair.one.create(**endless())
    cancelled = await pair.other.client.responses.cancel(second.id)
    assert (cancelled.status, cancelled.output, cancelled.usage) == ("cancelled", [], None)
    assert pair.one.services.admission.num_waiting == 0


QUOTA = {"quota.reasoning_tokens_per_day": "1000", "quota.requests_per_day": "100"}


async def get_used(server: Server, kind: str) -> int:
    async with httpx.AsyncClient(base_url=server.url, headers=to_bearer(ALICE), timeout=60) as http:
        quotas = (await http.get("/v1/thinking/usage")).json()["quotas"]
    used: int = quotas[f"{kind}_per_day"]["used"]
    return used


@pytest.mark.parametrize("leaves", [False, True])
async def test_quotas_are_settled_once_and_before_the_end_is_seen(
    serve_pair: MakePair, key_file: KeyFile, *, leaves: bool
) -> None:
    key_file.write(make_entry("alice", ALICE, **QUOTA))
    pair = await serve_pair(keys_file=str(key_file.path))
    client = pair.one.with_key(ALICE)
    used = 0
    for number in range(1, 4):
        limited = body(stream=True, extra_body={"max_thinking_tokens": 100})
        stream = await client.responses.create(**limited)
        events = aiter(stream)
        first = await anext(events)
        if leaves:
            await stream.close()
        else:
            async for _ in events:
                pass
        ended = await pair.other.poll(first.response.id, pair.other.with_key(ALICE))
        assert ended.usage is not None
        used += ended.usage.output_tokens_details.reasoning_tokens
        await pair.one.wait_idle()
        assert await get_used(pair.one, "reasoning_tokens") == used
        assert await get_used(pair.one, "requests") == number


async def test_a_quota_refuses_before_anything_begins(
    serve_pair: MakePair, key_file: KeyFile
) -> None:
    key_file.write(make_entry("alice", ALICE, **{"quota.requests_per_day": "1"}))
    pair = await serve_pair(keys_file=str(key_file.path))
    client = pair.one.with_key(ALICE)
    await client.responses.create(**body())
    with pytest.raises(openai.RateLimitError):
        await client.responses.create(**body())
    await pair.one.wait_idle()


async def test_each_key_has_its_own(serve_pair: MakePair, key_file: KeyFile) -> None:
    key_file.write(make_entry("alice", ALICE), make_entry("bob", BOB))
    pair = await serve_pair(ENDLESS, keys_file=str(key_file.path))
    alice, bob = pair.one.with_key(ALICE), pair.other.with_key(BOB)
    begun = await alice.responses.create(**endless())
    await pair.one.wait_running()
    refusals = set()
    for response_id in (begun.id, "resp_" + "0" * 32, "resp_none", f"{begun.id}:events"):
        deeds: Sequence[Any] = (
            bob.responses.retrieve,
            partial(bob.responses.retrieve, stream=True),
            bob.responses.cancel,
            bob.responses.delete,
            bob.responses.input_items.list,
        )
        for deed in deeds:
            with pytest.raises(openai.NotFoundError) as caught:
                await deed(response_id)
            refusals.add(caught.value.response.text)
    assert len(refusals) == 1
    assert (await alice.responses.retrieve(begun.id)).status == "in_progress"
    assert (await alice.responses.cancel(begun.id)).status == "cancelled"


async def test_a_response_that_was_waited_for_is_neither_cancelled_nor_streamed(
    serve_pair: MakePair,
) -> None:
    pair = await serve_pair()
    waited = await pair.one.client.responses.create(**body(background=False))
    responses = pair.other.client.responses
    with pytest.raises(openai.BadRequestError, match="background: true"):
        await responses.cancel(waited.id)
    with pytest.raises(openai.BadRequestError, match="background: true"):
        await responses.retrieve(waited.id, stream=True)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"stream": "true", "starting_after": "-1"}, "starting_after"),
        ({"stream": "true", "starting_after": "one"}, "starting_after"),
        ({"stream": "true", "starting_after": "9" * 40}, "starting_after"),
        ({"stream": "maybe"}, "stream"),
    ],
)
async def test_a_wrong_query_is_refused_by_name(
    serve_pair: MakePair, query: dict[str, str], param: str
) -> None:
    pair = await serve_pair()
    begun = await pair.one.create()
    with pytest.raises(openai.BadRequestError) as caught:
        await pair.other.client.responses.retrieve(begun.id, extra_query=query)
    assert caught.value.param == param
    assert (await pair.other.poll(begun.id)).status == "completed"


@pytest.mark.parametrize("options", [{}, {"response_store_max_responses": 0}])
async def test_what_is_not_stored_cannot_run_in_the_background(
    serve_pair: MakePair, options: dict[str, Any]
) -> None:
    pair = await serve_pair(**options)
    fields = {} if options else {"store": False}
    with pytest.raises(openai.BadRequestError) as caught:
        await pair.one.create(**fields)
    assert caught.value.param == "background"


async def test_what_is_too_large_for_the_store_ends_as_failed(serve_pair: MakePair) -> None:
    pair = await serve_pair("z" * 3000, response_store_max_bytes=4_000)
    fields = {"max_output_tokens": 3000, "extra_body": {"max_thinking_tokens": 0}}
    begun = await pair.one.create(**fields)
    await pair.one.wait_idle()
    failed = await pair.other.poll(begun.id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert "larger than this server may store" in failed.error.message


async def test_without_room_for_its_events_its_last_one_is_left(serve_pair: MakePair) -> None:
    pair = await serve_pair("z" * 300, response_store_max_bytes=20_000)
    fields = {"max_output_tokens": 400, "extra_body": {"max_thinking_tokens": 0}}
    begun = await pair.one.create(**fields)
    await pair.one.wait_idle()
    ended = await pair.other.poll(begun.id)
    assert ended.output_text == "z" * 300
    (last,) = await pair.other.read(begun.id, 3)
    assert last["type"] == "response.completed"
    assert last["response"] == ended.to_dict(mode="json")
