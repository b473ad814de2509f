"""On the real engine: how far a hidden thought is, and thoughts that a client keeps sealed."""

import json
from itertools import pairwise
from typing import Any

import httpx
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from tests.e2e.process import Server

pytestmark = pytest.mark.e2e

MODEL = "smollm2-135m-instruct"
QUESTION: Any = {"role": "user", "content": "Anna has 3 apples and buys 4 more. How many has she?"}
BUDGET = 200
LONG: Any = {
    "max_thinking_tokens": BUDGET,
    "min_thinking_tokens": BUDGET,
    "thinking_options": {"loop_guard": False},
}
MARKERS = ("startofthought", "endofthought")


async def test_a_chat_says_how_far_its_hidden_thought_is(server: Server) -> None:
    body = {
        "messages": [QUESTION],
        "max_completion_tokens": BUDGET + 16,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_thinking_progress": True},
        **LONG,
    }
    async with httpx.AsyncClient(base_url=server.base_url, timeout=300) as client:
        response = await client.post("/v1/chat/completions", json=body)
    assert response.status_code == 200, response.text
    assert not any(marker in response.text for marker in MARKERS)
    lines = [line for line in response.text.split("\n") if line.startswith("data: {")]
    choices = [json.loads(line.removeprefix("data: "))["choices"][0] for line in lines]
    told = [
        choice["thinking"]
        for choice in choices
        if "thinking" in choice and choice["finish_reason"] is None
    ]
    receipt = choices[-1]["thinking"]
    assert told[-1]["used"] == receipt["used"] <= BUDGET
    assert {value["budget"] for value in told} == {receipt["budget"]}
    assert all(earlier["used"] < later["used"] for earlier, later in pairwise(told))
    # At most five a second, one at its beginning and one at its end.
    assert 2 <= len(told) <= 5 * receipt["seconds"] + 2


async def test_messages_count_its_tokens(server: Server) -> None:
    counted = 0
    async with (
        AsyncAnthropic(base_url=server.base_url, api_key="none", max_retries=0) as client,
        client.beta.messages.stream(
            model=MODEL,
            messages=[QUESTION],
            max_tokens=BUDGET + 16,
            thinking={"type": "enabled", "budget_tokens": BUDGET},
            betas=["thinking-token-count-2026-05-13"],
            extra_body={"temperature": 0},
        ) as stream,
    ):
        async for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "thinking_delta":
                assert event.delta.thinking == ""
                counted += event.delta.estimated_tokens or 0
        message = await stream.get_final_message()
    assert message.usage.output_tokens_details is not None
    assert counted == message.usage.output_tokens_details.thinking_tokens > 0


async def test_a_sealed_thought_is_taken_back(server: Server) -> None:
    async with AsyncOpenAI(
        base_url=f"{server.base_url}/v1", api_key="none", max_retries=0
    ) as client:
        asked: Any = {"model": MODEL, "temperature": 0, "max_completion_tokens": 80}
        first = await client.chat.completions.create(
            messages=[QUESTION],
            extra_body={"include": ["reasoning.encrypted_content"], "max_thinking_tokens": 40},
            **asked,
        )
        message: Any = first.choices[0].message.model_dump(exclude_none=True)
        (detail,) = message["reasoning_details"]
        assert detail["type"] == "reasoning.encrypted"
        answered = await client.chat.completions.with_raw_response.create(
            messages=[QUESTION, message, {"role": "user", "content": "Sure?"}], **asked
        )
    assert "x-ignored-fields" not in answered.headers
    assert not any(marker in answered.text for marker in MARKERS)
