"""Anthropic's SDK for Python."""

from typing import Any

from anthropic import Anthropic

from tests.sdk.drivers.report import (
    BUDGET,
    MAX_TOKENS,
    MODEL,
    QUESTION,
    Reply,
    base_url,
    report,
    streamed,
)
from tests.sdk.drivers.weather import TOOL_NAME, TOOL_TEXT, WEATHER_QUESTION, Weather

# Greedy, so that a run is like the one before it; the SDK has no field for that any more.
ASKED: Any = {
    "model": MODEL,
    "messages": [{"role": "user", "content": QUESTION}],
    "max_tokens": MAX_TOKENS,
    "extra_body": {"temperature": 0},
}
ASKED_WEATHER = ASKED | {
    "messages": [{"role": "user", "content": WEATHER_QUESTION}],
    "thinking": {"type": "disabled"},  # all of the few tokens are for the answer
}
client = Anthropic(base_url=base_url(), api_key="none", max_retries=0)


def plain() -> Reply:
    message = client.messages.create(**ASKED)
    return {"text": "".join(block.text for block in message.content if block.type == "text")}


def stream() -> Reply:
    with client.messages.stream(**ASKED) as events:
        return streamed(list(events.text_stream))


def budget() -> Reply:
    message = client.messages.create(
        **ASKED,
        thinking={"type": "enabled", "budget_tokens": BUDGET},
    )
    assert message.usage.output_tokens_details
    receipt = (message.model_extra or {})["thinking"]
    return {
        "reasoning_tokens": message.usage.output_tokens_details.thinking_tokens,
        "receipt": receipt,
    }


def tools() -> Reply:
    message = client.messages.create(
        **ASKED_WEATHER,
        tools=[
            {
                "name": TOOL_NAME,
                "description": TOOL_TEXT,
                "input_schema": Weather.model_json_schema(),
            }
        ],
        tool_choice={"type": "tool", "name": TOOL_NAME},
    )
    (call,) = (block for block in message.content if block.type == "tool_use")
    return {"name": call.name, "arguments": call.input}


def structured() -> Reply:
    message = client.messages.parse(
        **ASKED_WEATHER,
        output_format=Weather,
    )
    assert message.parsed_output
    return {"value": message.parsed_output.model_dump()}


if __name__ == "__main__":
    report(
        "anthropic",
        {
            "plain": plain,
            "streamed": stream,
            "budget": budget,
            "tools": tools,
            "structured": structured,
        },
    )
