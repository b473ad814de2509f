"""Thoughts that go on through OpenAI's and Anthropic's own SDKs: fields in `extra_body`."""

from typing import Any

import httpx2  # the SDKs' own
from anthropic import AsyncAnthropic
from openai import BadRequestError

from server.engine.scripted_model import RandomLogits
from tests.server.conftest import MODEL, VOCAB_SIZE, Serve
from tests.server.continuing.conftest import FREE, INCLUDE, QUESTION

BUDGET: dict[str, Any] = {
    "max_thinking_tokens": 30,
    "min_thinking_tokens": 30,
    "thinking_options": FREE,
}


def go_on(receipt: dict[str, Any]) -> dict[str, Any]:
    going_on = {"sealed": receipt["sealed"], "max_thinking_tokens": 20}
    return {"continue_thinking": going_on, "thinking_options": FREE}


async def test_chat_and_completions(serve: Serve) -> None:
    client = serve(RandomLogits(VOCAB_SIZE)).openai
    messages: Any = QUESTION
    chat = await client.chat.completions.create(
        model=MODEL, messages=messages, max_tokens=100, extra_body=BUDGET | INCLUDE
    )
    receipt = (chat.choices[0].model_extra or {})["thinking"]
    stream = await client.chat.completions.create(
        model=MODEL, messages=messages, max_tokens=100, extra_body=go_on(receipt), stream=True
    )
    ends = [c.model_extra or {} async for chunk in stream for c in chunk.choices if c.finish_reason]
    assert [end["thinking"]["continued"] for end in ends] == [29]
    text = await client.completions.create(
        model=MODEL, prompt="How many?", max_tokens=100, extra_body=BUDGET | INCLUDE
    )
    receipt = (text.choices[0].model_extra or {})["thinking"]
    later = await client.completions.create(
        model=MODEL, prompt="How many?", max_tokens=100, extra_body=go_on(receipt)
    )
    assert (later.choices[0].model_extra or {})["thinking"]["continued"] == 29


async def test_responses_have_the_field_of_their_own(serve: Serve) -> None:
    client = serve(RandomLogits(VOCAB_SIZE)).openai
    include: Any = INCLUDE["include"]
    begun = await client.responses.create(
        model=MODEL, input="How many?", max_output_tokens=100, include=include, extra_body=BUDGET
    )
    receipt = (begun.model_extra or {})["thinking"]
    async with client.responses.stream(
        model=MODEL, input="How many?", max_output_tokens=100, extra_body=go_on(receipt)
    ) as stream:
        events: list[Any] = [event async for event in stream]
    assert events[-1].response.model_extra["thinking"]["continued"] == 29
    try:
        await client.responses.create(model=MODEL, input="Why?", extra_body=go_on(receipt))
    except BadRequestError as error:
        assert error.param == "continue_thinking.sealed"
        assert "another prompt" in error.message
    else:
        raise AssertionError("it belongs to another input")


async def test_messages(serve: Serve) -> None:
    served = serve(RandomLogits(VOCAB_SIZE))
    transport = httpx2.ASGITransport(served.app)
    messages: Any = QUESTION
    async with AsyncAnthropic(
        base_url="http://test",
        api_key="none",
        http_client=httpx2.AsyncClient(transport=transport),
        max_retries=0,
    ) as client:
        begun = await client.messages.create(
            model=MODEL, messages=messages, max_tokens=100, extra_body=BUDGET | INCLUDE
        )
        receipt = (begun.model_extra or {})["thinking"]
        later = await client.messages.create(
            model=MODEL, messages=messages, max_tokens=100, extra_body=go_on(receipt)
        )
        assert (later.model_extra or {})["thinking"]["continued"] == 29
        assert later.usage.input_tokens == begun.usage.input_tokens + 29
        counted = await client.messages.count_tokens(
            model=MODEL, messages=messages, extra_body=go_on(receipt)
        )
        assert counted.input_tokens == later.usage.input_tokens
