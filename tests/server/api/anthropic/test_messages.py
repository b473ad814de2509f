"""Content of a message, streamed or not, as Anthropic's own client reads it."""

from typing import Any

import anthropic
import pytest

from tests.server.api.anthropic.conftest import (
    ANSWER,
    PATH,
    THOUGHT,
    WANTED,
    Connect,
    create_message,
    get_events,
    make_arguments,
    make_body,
    make_thinking,
    parse_events,
    post,
)
from tests.server.conftest import MODEL, PROFILES, Serve, wants
from tests.server.engine.test_engine_failures import Caller
from thinking.markers.profile import MarkerProfile

SHOWN = make_thinking(display="summarized")


async def test_a_plain_message_has_its_text_counts_and_receipt(
    serve: Serve, connect: Connect
) -> None:
    client = connect(serve(wants(WANTED), default_thinking_tokens=40))
    reply = await client.messages.create(**make_arguments())
    assert [block.type for block in reply.content] == ["text"]
    assert reply.content[0].text == ANSWER
    assert (reply.id[:4], reply.type, reply.role, reply.model) == (
        "msg_",
        "message",
        "assistant",
        MODEL,
    )
    assert (reply.stop_reason, reply.stop_sequence) == ("end_turn", None)
    assert reply.usage.output_tokens_details is not None
    num_thought = reply.usage.output_tokens_details.thinking_tokens
    assert 0 < num_thought < reply.usage.output_tokens
    receipt = reply.thinking
    assert receipt["used"] == num_thought
    assert receipt["source"] == "default"
    assert reply._request_id


@pytest.mark.parametrize(
    ("fields", "shows_thoughts", "kinds"),
    [
        ({}, True, ["text"]),
        ({"max_thinking_tokens": 40}, True, ["text"]),
        ({"thinking": make_thinking()}, True, ["thinking", "text"]),
        ({"thinking": {"type": "adaptive"}}, True, ["thinking", "text"]),
        ({"thinking": make_thinking(display="omitted")}, True, ["thinking", "text"]),
        ({"thinking": SHOWN}, True, ["thinking", "text"]),
        ({"max_thinking_tokens": 40, "include_reasoning": True}, True, ["thinking", "text"]),
        ({"thinking": {"type": "disabled"}}, True, ["text"]),
        ({"thinking": make_thinking(0, type="disabled")}, True, ["text"]),
        ({"thinking": {"type": "disabled", "display": "summarized"}}, True, ["text"]),
        ({"thinking": make_thinking()}, False, ["redacted_thinking", "text"]),
        ({}, False, ["text"]),
    ],
)
async def test_a_thought_has_a_block_if_it_was_requested(
    serve: Serve, fields: dict[str, Any], shows_thoughts: bool, kinds: list[str]
) -> None:
    thinks = fields.get("thinking", {}).get("type") != "disabled"
    wanted = WANTED if thinks else ANSWER
    served = serve(wants(wanted), show_thoughts=shows_thoughts, default_thinking_tokens=40)
    reply = await create_message(served, **fields)
    assert [block["type"] for block in reply["content"]] == kinds
    assert reply["content"][-1] == {"type": "text", "text": ANSWER}
    is_shown = fields.get("include_reasoning") or fields.get("thinking") == SHOWN
    block = reply["content"][0]
    if block["type"] == "thinking":
        assert block["thinking"] == (THOUGHT if is_shown else "")
        assert served.services.seal.open(block["signature"]) == THOUGHT
    if block["type"] == "redacted_thinking":
        assert served.services.seal.open(block["data"]) == THOUGHT
    if not is_shown:
        assert THOUGHT not in str(reply)
    assert (reply["thinking"]["used"] > 0) == thinks


async def test_a_server_that_hides_thoughts_refuses_to_show_one(
    serve: Serve, connect: Connect
) -> None:
    client = connect(serve(wants(WANTED), show_thoughts=False))
    with pytest.raises(anthropic.PermissionDeniedError, match=r"thinking\.display") as caught:
        await client.messages.create(**make_arguments(thinking=SHOWN))
    assert caught.value.type == "permission_error"


@pytest.mark.parametrize("budget", [0, 1, 2, 3, 7, 40])
async def test_a_budget_is_honoured_to_the_token(
    serve: Serve, profile: MarkerProfile, budget: int
) -> None:
    served = serve(profile=profile)
    reply = await create_message(
        served, thinking=make_thinking(budget) if budget else {"type": "disabled"}
    )
    assert reply["thinking"]["used"] <= budget
    assert reply["usage"]["output_tokens_details"]["thinking_tokens"] == reply["thinking"]["used"]
    assert reply["usage"]["output_tokens"] <= 100


async def test_a_budget_beyond_max_tokens_leaves_an_answer_and_says_so(serve: Serve) -> None:
    served = serve(wants("a thought that does not end " * 20))
    reply = await create_message(served, max_tokens=40, thinking=make_thinking(1000))
    assert reply["thinking"]["requested"] == 1000
    assert reply["thinking"]["limited_by"] == "max_completion_tokens"
    assert reply["thinking"]["used"] < 40
    assert reply["content"][-1]["text"]


@pytest.mark.parametrize(
    ("fields", "reason", "stop", "text"),
    [
        ({}, "end_turn", None, ANSWER),
        ({"stop_sequences": ["zzz", "fo", "is"]}, "stop_sequence", "is", "It "),
        ({"stop_sequences": ["Two"]}, "end_turn", None, ANSWER),
        ({"max_tokens": 20, "thinking": make_thinking(10)}, "max_tokens", None, None),
    ],
)
async def test_the_stop_reason_says_why_the_answer_ended(
    serve: Serve, fields: dict[str, Any], reason: str, stop: str | None, text: str | None
) -> None:
    wanted = WANTED if text else "x" * 200
    served = serve(wants(wanted), default_thinking_tokens=40)
    reply = await create_message(served, **fields)
    assert (reply["stop_reason"], reply["stop_sequence"]) == (reason, stop)
    if text:
        assert reply["content"] == [{"type": "text", "text": text}]
    streamed = await get_events(served, **fields)
    assert streamed[-2]["delta"] == {"stop_reason": reason, "stop_sequence": stop}


@pytest.mark.parametrize(
    ("display", "shows_thoughts"),
    [("summarized", True), ("omitted", True), (None, True), ("omitted", False), (None, False)],
)
async def test_the_clients_accumulator_makes_the_message_that_is_not_streamed(
    serve: Serve, connect: Connect, display: str | None, shows_thoughts: bool
) -> None:
    served = serve(wants(WANTED), show_thoughts=shows_thoughts)
    client = connect(served)
    asked = make_thinking() if display is None else make_thinking(display=display)
    async with client.messages.stream(**make_arguments(thinking=asked)) as stream:
        kinds = [event.type async for event in stream]
        streamed = (await stream.get_final_message()).model_dump()
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    whole = (await client.messages.create(**make_arguments(thinking=asked))).model_dump()
    assert make_comparable(streamed, served) == make_comparable(whole, served)


def make_comparable(reply: dict[str, Any], served: Any) -> dict[str, Any]:
    """Return a reply without what differs between two replies, and with sealed thoughts opened."""
    blocks = []
    for block in reply["content"]:
        opened = {key: value for key, value in block.items() if value is not None}
        for key in ("signature", "data"):
            if key in opened:
                opened[key] = served.services.seal.open(opened[key])
        blocks.append({key: opened[key] for key in opened if key != "parsed_output"})
    return {
        key: value for key, value in reply.items() if key not in ("id", "thinking", "content")
    } | {"content": blocks}


async def test_a_hidden_thought_shows_that_it_runs_and_nothing_more(serve: Serve) -> None:
    served = serve(wants(WANTED))
    found = await get_events(served, thinking=make_thinking())
    assert [event["type"] for event in found[:5]] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    ]
    assert found[0]["message"]["usage"]["input_tokens"] > 0
    assert found[0]["message"]["stop_reason"] is None
    assert found[2]["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}
    assert found[3]["delta"]["type"] == "signature_delta"
    assert THOUGHT not in str(found)
    assert (
        found[-2]["thinking"]["used"]
        == found[-2]["usage"]["output_tokens_details"]["thinking_tokens"]
    )


async def test_thoughts_inside_the_answer_have_their_own_blocks(serve: Serve) -> None:
    options = {"gate": {"mode": "after", "strings": ["is "]}, "segment_tokens": 12}
    served = serve(wants(f"{THOUGHT}</think>It is hm.</think>four."))
    fields = {"thinking": SHOWN, "thinking_options": options}
    reply = await create_message(served, **fields)
    assert [block["type"] for block in reply["content"]] == [
        "thinking",
        "text",
        "thinking",
        "text",
    ]
    texts = [block["text"] for block in reply["content"] if block["type"] == "text"]
    assert texts == ["It is ", "four."]
    assert reply["content"][2]["thinking"] == "hm."
    streamed = await get_events(served, **fields)
    starts = [e["content_block"]["type"] for e in streamed if e["type"] == "content_block_start"]
    assert starts == [block["type"] for block in reply["content"]]


async def test_silence_is_kept_alive_and_the_client_does_not_mind(
    serve: Serve, connect: Connect
) -> None:
    long_thought = " ".join(map(str, range(60)))
    served = serve(wants(f"{long_thought}</think>{ANSWER}"), keep_alive_seconds=0.001)
    client = connect(served)
    asked: dict[str, Any] = {"thinking": make_thinking(300), "max_tokens": 400}
    response = await post(served, stream=True, **asked)
    assert ": keep-alive" in response.text
    async with client.messages.stream(**make_arguments(**asked)) as stream:
        assert await stream.get_final_text() == ANSWER


async def test_nothing_is_sent_for_hidden_text(serve: Serve) -> None:
    """An empty piece would count as an event, and delay the comments."""
    served = serve(wants(WANTED), show_thoughts=False)
    caller = Caller(served.app, PATH, **make_body(stream=True, thinking=make_thinking()))
    await caller.task
    pieces = [caller.received.get_nowait() for _ in range(caller.received.qsize())]
    assert len(pieces) > 4
    assert all(piece["body"] for piece in pieces if piece.get("more_body"))


async def test_an_engine_that_dies_ends_the_stream_with_an_error_event(serve: Serve) -> None:
    served = serve(wants("x" * 400))
    caller = Caller(served.app, PATH, **make_body(stream=True))
    read = await caller.read_until("text_delta")
    served.engine.kill()
    found = parse_events(read + await caller.read_until("event: error"))
    assert found[-1]["type"] == "error"
    assert found[-1]["error"] == {"type": "overloaded_error", "message": "the engine has died"}
    assert found[-1]["request_id"]


@pytest.mark.parametrize("profile_name", list(PROFILES))
async def test_count_tokens_is_what_the_message_counts(
    serve: Serve, connect: Connect, profile_name: str
) -> None:
    client = connect(serve(profile=PROFILES[profile_name]))
    for fields in (
        {"system": "Be brief."},
        {"thinking": {"type": "disabled"}},
        {"thinking": make_thinking()},
    ):
        asked = make_arguments(**fields)
        reply = await client.messages.create(**asked)
        del asked["max_tokens"], asked["extra_body"]
        counted = await client.messages.count_tokens(**asked)
        assert counted.input_tokens == reply.usage.input_tokens > 0


async def test_a_prompt_that_is_too_long_can_be_counted(serve: Serve) -> None:
    served = serve(max_model_len=64)
    turn = {"role": "user", "content": "x" * 500}
    counted = await served.http.post(
        "/v1/messages/count_tokens", json={"model": MODEL, "messages": [turn]}
    )
    assert counted.json()["input_tokens"] > 500
    refused = await post(served, messages=[turn])
    assert refused.status_code == 400
    assert str(counted.json()["input_tokens"]) in refused.json()["error"]["message"]


async def test_an_output_format_holds_the_answer(serve: Serve, connect: Connect) -> None:
    served = serve(wants(WANTED))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    config: Any = {"format": {"type": "json_schema", "schema": schema}, "effort": "low"}
    reply = await connect(served).messages.create(**make_arguments(output_config=config))
    assert served.engine.constraints[-1].field == "output_config.format.schema"
    assert reply.thinking["source"] == "output_config.effort"


async def test_anthropics_client_can_list_the_model(serve: Serve, connect: Connect) -> None:
    client = connect(serve())
    listed = [model async for model in client.models.list()]
    assert [model.id for model in listed] == [MODEL]
    assert (await client.models.retrieve(MODEL)).type == "model"
    with pytest.raises(anthropic.NotFoundError, match="no such model"):
        await client.models.retrieve("other")


async def test_openais_list_of_models_is_as_it_was(serve: Serve) -> None:
    listed = await serve().http.get("/v1/models")
    assert listed.json()["object"] == "list"


async def test_usage_has_all_that_the_clients_type_has(serve: Serve, connect: Connect) -> None:
    client = connect(serve(wants(WANTED)))
    message = await client.beta.messages.create(**make_arguments())
    usage = message.usage
    assert usage.cache_creation is not None
    assert usage.cache_creation.ephemeral_1h_input_tokens == 0
    assert usage.cache_creation.ephemeral_5m_input_tokens == 0
    assert usage.server_tool_use is not None
    assert usage.server_tool_use.web_search_requests == 0
    assert usage.service_tier == "standard"
    async with client.beta.messages.stream(**make_arguments()) as stream:
        streamed = await stream.get_final_message()
    assert streamed.usage == usage


@pytest.mark.parametrize("max_tokens", [10, 10_000])
async def test_an_answer_that_fills_the_context_says_so(serve: Serve, max_tokens: int) -> None:
    served = serve(wants("x" * 900), max_model_len=300)
    fields: dict[str, Any] = {"max_tokens": max_tokens, "thinking": {"type": "disabled"}}
    wanted = "max_tokens" if max_tokens == 10 else "model_context_window_exceeded"
    assert (await create_message(served, **fields))["stop_reason"] == wanted
    events = await get_events(served, **fields)
    assert events[-2]["delta"]["stop_reason"] == wanted
