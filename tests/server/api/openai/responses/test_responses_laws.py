"""``POST /v1/responses`` on the wire, over a scripted model."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from server.engine.scripted_model import RandomLogits
from tests.examples import examples
from tests.server.api.openai.responses.conftest import (
    get_answer,
    get_items,
    get_refusal,
    get_transcript,
    post,
    respond,
)
from tests.server.api.openai.responses.folding import fold, without_ids
from tests.server.conftest import VOCAB_SIZE, Serve, wants
from tests.server.engine.test_engine_failures import wait_until_running
from thinking.markers.profile import MarkerProfile

THOUGHT, ANSWER = "Two and two.", "It is 4."
SCRIPT = f"{THOUGHT}</think>{ANSWER}"
EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
SHOWN = {
    "hidden": {},
    "shown": {"include_reasoning": True},
    "summarised": {"reasoning": {"summary": "auto"}},
}


async def test_a_response_has_all_that_openais_types_require(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    fields: dict[str, Any] = {"top_logprobs": 2, "include": ["message.output_text.logprobs"]}
    response = await respond(served, include_reasoning=True, metadata={"a": "b"}, **fields)
    parsed = Response.model_validate(response, strict=True)
    assert parsed.output_text == ANSWER
    assert parsed.status == "completed"
    assert parsed.metadata == {"a": "b"}
    (message,) = get_items(response, "message")
    logprobs = message["content"][0]["logprobs"]
    assert "".join(entry["token"] for entry in logprobs) == ANSWER
    assert all(len(entry["top_logprobs"]) == 2 for entry in logprobs)


@pytest.mark.parametrize("fields", SHOWN.values(), ids=SHOWN)
async def test_every_event_is_of_a_type_of_openais(serve: Serve, fields: dict[str, Any]) -> None:
    served = serve(wants(SCRIPT))
    for event in await get_transcript(served, include=["reasoning.encrypted_content"], **fields):
        parsed = EVENT.validate_python(event, strict=True)
        assert parsed.type == event["type"]


@pytest.mark.parametrize("fields", SHOWN.values(), ids=SHOWN)
async def test_a_stream_folds_to_the_response_that_is_not_streamed(
    serve: Serve, profile: MarkerProfile, fields: dict[str, Any]
) -> None:
    served = serve(wants(SCRIPT), profile)
    whole = await respond(served, **fields)
    streamed = fold(await get_transcript(served, **fields))
    assert without_ids(streamed["output"]) == without_ids(whole["output"])
    assert streamed["usage"] == whole["usage"]
    differing = {"id", "output", "created_at", "completed_at", "thinking"}
    for name in set(whole) - differing:
        assert streamed[name] == whole[name], name


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(25))
@given(
    seed=st.integers(0, 10_000),
    budget=st.integers(0, 60),
    limit=st.integers(1, 90),
    gated=st.booleans(),
)
async def test_the_laws_of_a_budget_hold_whatever_is_written(
    serve: Serve, seed: int, budget: int, limit: int, gated: bool
) -> None:
    served = serve(RandomLogits(VOCAB_SIZE, seed))
    fields: dict[str, Any] = {"temperature": 1, "seed": seed, "include_reasoning": True}
    if gated:
        fields["thinking_options"] = {"gate": {"mode": "every", "tokens": 4}, "max_segments": 3}
    fields |= {"max_thinking_tokens": budget, "max_output_tokens": limit}
    response = fold(await get_transcript(served, **fields))
    assert without_ids(response["output"]) == without_ids(
        (await respond(served, **fields))["output"]
    )
    usage, receipt = response["usage"], response["thinking"]
    num_reasoning = usage["output_tokens_details"]["reasoning_tokens"]
    assert num_reasoning == receipt["used"] <= budget
    assert num_reasoning < usage["output_tokens"] <= limit
    assert len(get_items(response, "message")) == 1
    Response.model_validate(response, strict=True)


@pytest.mark.parametrize("fields", SHOWN.values(), ids=SHOWN)
async def test_a_thought_is_shown_only_if_it_was_requested(
    serve: Serve, fields: dict[str, Any]
) -> None:
    served = serve(wants(SCRIPT))
    response = await respond(served, **fields)
    thought, message = response["output"]
    assert (thought["type"], message["type"]) == ("reasoning", "message")
    assert get_answer(response) == ANSWER
    if fields:
        assert thought["content"] == [{"type": "reasoning_text", "text": THOUGHT}]
    else:
        assert "content" not in thought
    is_summary = "reasoning" in fields
    assert thought["summary"] == [{"type": "summary_text", "text": THOUGHT}] * is_summary
    assert response["reasoning"]["summary"] == ("detailed" if is_summary else None)
    events = await get_transcript(served, **fields)
    streamed = "".join(
        event["delta"] for event in events if "reasoning" in event["type"] and "delta" in event
    )
    assert streamed == (THOUGHT if fields else "")  # once, not in two spellings
    if not fields:
        assert THOUGHT not in str(events)


async def test_a_hidden_thought_shows_when_it_begins_and_ends(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    events = await get_transcript(served)
    of_thought = [event for event in events if event.get("output_index") == 0]
    assert [event["type"] for event in of_thought] == [
        "response.output_item.added",
        "response.output_item.done",
    ]
    assert all(event["item"]["type"] == "reasoning" for event in of_thought)


async def test_without_a_thought_there_is_no_reasoning_item(serve: Serve) -> None:
    served = serve(wants(ANSWER))
    response = await respond(served, reasoning={"effort": "none"})
    assert [item["type"] for item in response["output"]] == ["message"]
    assert response["reasoning"] == {"effort": "none", "summary": None}
    assert response["usage"]["output_tokens_details"]["reasoning_tokens"] == 0


async def test_a_response_cut_by_its_limit_is_incomplete(serve: Serve) -> None:
    served = serve(wants(f"{THOUGHT}</think>{ANSWER * 9}"))
    response = fold(await get_transcript(served, max_output_tokens=30))
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["completed_at"] is None
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    Response.model_validate(response, strict=True)


async def test_a_thought_is_sealed_if_requested_or_if_nothing_is_stored(
    serve: Serve,
) -> None:
    served = serve(wants(SCRIPT))
    for fields in ({"include": ["reasoning.encrypted_content"]}, {"store": False}):
        (thought,) = get_items(await respond(served, **fields), "reasoning")
        assert served.services.seal.open(thought["encrypted_content"]) == THOUGHT
        assert THOUGHT not in str(thought)
    (thought,) = get_items(await respond(served), "reasoning")
    assert "encrypted_content" not in thought


async def test_a_request_for_a_forbidden_thought_is_refused_by_its_field(serve: Serve) -> None:
    served = serve(wants(SCRIPT), show_thoughts=False)
    response = await post(served, reasoning={"summary": "auto"})
    assert response.status_code == 403
    assert response.json()["error"]["param"] == "reasoning.summary"
    hidden = await respond(served, include=["reasoning.encrypted_content"])
    assert THOUGHT not in str(hidden)


async def test_an_answer_keeps_to_the_format_of_its_text(serve: Serve) -> None:
    served = serve(wants(SCRIPT))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    text_format = {"type": "json_schema", "name": "n", "schema": schema, "strict": True}
    response = await respond(served, text={"format": text_format})
    assert response["text"] == {"format": text_format | {"description": None}}
    Response.model_validate(response, strict=True)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no input": ({"input": []}, "input"),
    "an unknown field": ({"messages": []}, "messages"),
    "a chat's limit": ({"max_tokens": 5}, "max_tokens"),
    "a misspelt type": ({"input": [{"type": "functoin_call"}]}, "input[0]"),
    "a command": (
        {"input": [{"role": "user", "content": "a"}, {"type": "compaction_trigger"}]},
        "input[1]",
    ),
    "an unknown role": ({"input": [{"role": "tool", "content": "a"}]}, "input[0].role"),
    "no content": ({"input": [{"role": "user"}]}, "input[0].content"),
    "a file": (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "a"}]}]},
        "input[0].content[0]",
    ),
    "an image": (
        {
            "instructions": "Be short.",
            "input": [
                {
                    "role": "user",
                    "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA"}],
                }
            ],
        },
        "input[0].content[0].image_url",
    ),
    "a field of a part": (
        {"input": [{"role": "user", "content": [{"type": "input_text", "txt": "a"}]}]},
        "input[0].content[0].txt",
    ),
    "an output without its call": (
        {"input": [{"type": "function_call_output", "call_id": "a", "output": "1"}]},
        "input[0].call_id",
    ),
    "an unknown item": ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].id"),
    "an unknown response": ({"previous_response_id": "resp_1"}, "previous_response_id"),
    "a misspelt tool": ({"tools": [{"type": "functoin", "name": "a"}]}, "tools[0]"),
    "a background that is not stored": ({"background": True, "store": False}, "background"),
    "a conversation": ({"conversation": "conv_1"}, "conversation"),
    "a truncation": ({"truncation": "always"}, "truncation"),
    "a verbosity": ({"text": {"verbosity": 3}}, "text.verbosity"),
    "a format without its schema": ({"text": {"format": {"type": "json_schema"}}}, "text.format"),
    "a mode": ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
    "an unknown effort": ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
    "an unknown name of reasoning": ({"reasoning": {"efort": "low"}}, "reasoning.efort"),
}


@pytest.mark.parametrize(("fields", "param"), BAD.values(), ids=BAD)
async def test_a_wrong_field_is_refused_by_name(
    serve: Serve, fields: dict[str, Any], param: str
) -> None:
    error = await get_refusal(serve(wants(SCRIPT)), **fields)
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"
    assert param.rpartition(".")[2] in error["message"]


CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "tool_choice": {"tool_choice": "required"},
    "structured_outputs": {
        "text": {"format": {"type": "json_object"}},
        "structured_outputs": {"regex": "a"},
    },
}


@pytest.mark.parametrize(("name", "fields"), CONTRADICTIONS.items(), ids=CONTRADICTIONS)
async def test_fields_that_do_not_go_together_are_refused(
    serve: Serve, name: str, fields: dict[str, Any]
) -> None:
    assert name in (await get_refusal(serve(wants(SCRIPT)), **fields))["message"]


async def test_a_prompt_that_is_too_long_is_an_error_of_the_input(serve: Serve) -> None:
    error = await get_refusal(serve(wants(SCRIPT)), input="a b " * 400)
    assert (error["param"], error["code"]) == ("input", "context_length_exceeded")


async def test_an_engine_that_dies_in_a_stream_is_reported(serve: Serve) -> None:
    served = serve(wants("z" * 100_000), max_model_len=100_000)
    stream = asyncio.create_task(get_transcript(served, max_thinking_tokens=0))
    await wait_until_running(served.engine, 1)
    served.engine.kill()
    events = await stream
    error, failed = events[-2:]
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    Response.model_validate(failed["response"], strict=True)
    assert error["type"] == "error"
    assert error["message"] == error["error"]["message"]
