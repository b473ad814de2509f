"""OpenAI's SDK for Python."""

import json
from typing import Any

from openai import OpenAI, pydantic_function_tool

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

# Greedy, so that a run is like the one before it.
ASKED: Any = {
    "model": MODEL,
    "messages": [{"role": "user", "content": QUESTION}],
    "max_completion_tokens": MAX_TOKENS,
    "temperature": 0,
}
ASKED_WEATHER = ASKED | {"messages": [{"role": "user", "content": WEATHER_QUESTION}]}
BUDGETED: Any = {"extra_body": {"max_thinking_tokens": BUDGET}}
client = OpenAI(base_url=f"{base_url()}/v1", api_key="none")


def plain() -> Reply:
    completion = client.chat.completions.create(**ASKED)
    return {"text": completion.choices[0].message.content}


def stream() -> Reply:
    with client.chat.completions.stream(**ASKED) as events:
        return streamed([event.delta for event in events if event.type == "content.delta"])


def budget() -> Reply:
    completion = client.chat.completions.create(**ASKED, **BUDGETED)
    assert completion.usage
    assert completion.usage.completion_tokens_details
    receipt = (completion.choices[0].model_extra or {})["thinking"]
    return {
        "reasoning_tokens": completion.usage.completion_tokens_details.reasoning_tokens,
        "receipt": receipt,
    }


def tools() -> Reply:
    completion = client.chat.completions.create(
        **ASKED_WEATHER,
        tools=[pydantic_function_tool(Weather, name=TOOL_NAME, description=TOOL_TEXT)],
        tool_choice={"type": "function", "function": {"name": TOOL_NAME}},
        **BUDGETED,
    )
    (call,) = completion.choices[0].message.tool_calls or []
    assert call.type == "function"
    return {"name": call.function.name, "arguments": json.loads(call.function.arguments)}


def structured() -> Reply:
    completion = client.chat.completions.parse(
        **ASKED_WEATHER,
        response_format=Weather,
        **BUDGETED,
    )
    parsed = completion.choices[0].message.parsed
    assert parsed
    return {"value": parsed.model_dump()}


def responses() -> Reply:
    response = client.responses.create(
        model=MODEL,
        input=QUESTION,
        max_output_tokens=MAX_TOKENS,
        temperature=0,
        **BUDGETED,
    )
    assert response.usage
    return {
        "text": response.output_text,
        "reasoning_tokens": response.usage.output_tokens_details.reasoning_tokens,
    }


def stream_thought(**fields: Any) -> Reply:
    """What the helper for streams gives of a thought, and what the response at the end has."""
    asked: Any = {
        "model": MODEL,
        "input": QUESTION,
        "max_output_tokens": MAX_TOKENS,
        "temperature": 0,
        "extra_body": BUDGETED["extra_body"] | fields,
    }
    pieces: dict[str, str] = {"thought": "", "text": ""}
    with client.responses.stream(**asked) as events:
        for event in events:
            if event.type in (
                "response.reasoning_text.delta",
                "response.reasoning_summary_text.delta",
            ):
                pieces["thought"] += event.delta
            elif event.type == "response.output_text.delta":
                pieces["text"] += event.delta
    # The last event: of a response that was cut the helper has no final one.
    final: Any = event
    shown = [
        part.text
        for item in final.response.output
        if item.type == "reasoning"
        for part in item.content or item.summary
    ]
    return pieces | {"final_thought": "".join(shown), "final_text": final.response.output_text}


def thoughts() -> Reply:
    return {
        "hidden": stream_thought(),
        "shown": stream_thought(include_reasoning=True),
        "summarised": stream_thought(reasoning={"summary": "auto"}),
    }


def completions() -> Reply:
    completion = client.completions.create(
        model=MODEL,
        prompt="17 + 25 =",
        max_tokens=MAX_TOKENS,
        temperature=0,
        **BUDGETED,
    )
    assert completion.usage
    assert completion.usage.completion_tokens_details
    return {
        "text": completion.choices[0].text,
        "reasoning_tokens": completion.usage.completion_tokens_details.reasoning_tokens,
    }


if __name__ == "__main__":
    report(
        "openai",
        {
            "plain": plain,
            "streamed": stream,
            "budget": budget,
            "tools": tools,
            "structured": structured,
            "responses": responses,
            "thoughts": thoughts,
            "completions": completions,
        },
    )
