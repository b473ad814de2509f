"""Instructor: typed replies through OpenAI's SDK, by a schema or by a tool."""

from typing import Any

import instructor
from openai import OpenAI

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
from tests.sdk.drivers.weather import TOOL_NAME, WEATHER_QUESTION, Weather

openai_client = OpenAI(base_url=f"{base_url()}/v1", api_key="none", max_retries=0)


def ask(method: str, mode: instructor.Mode, response_model: Any, question: str) -> Any:
    client = instructor.from_openai(openai_client, mode=mode)
    return getattr(client.chat.completions, method)(
        model=MODEL,
        messages=[{"role": "user", "content": question}],
        response_model=response_model,
        max_retries=0,
        max_completion_tokens=MAX_TOKENS,
        temperature=0,
        extra_body={"max_thinking_tokens": BUDGET},
    )


def plain() -> Reply:
    completion = ask("create", instructor.Mode.JSON_SCHEMA, None, QUESTION)
    return {"text": completion.choices[0].message.content}


def stream() -> Reply:
    """Half-read values, each with more in it."""
    parts = ask("create_partial", instructor.Mode.JSON_SCHEMA, Weather, WEATHER_QUESTION)
    return streamed([part.model_dump_json() for part in parts])


def budget() -> Reply:
    _, completion = ask(
        "create_with_completion", instructor.Mode.JSON_SCHEMA, Weather, WEATHER_QUESTION
    )
    return {"reasoning_tokens": completion.usage.completion_tokens_details.reasoning_tokens}


def tools() -> Reply:
    """Its default mode: the type as a tool that must be called."""

    class get_weather(Weather):  # noqa: N801  # the tool's name is the class's
        """The weather of a city."""

    value = ask("create", instructor.Mode.TOOLS, get_weather, WEATHER_QUESTION)
    return {"name": TOOL_NAME, "arguments": value.model_dump()}


def structured() -> Reply:
    value = ask("create", instructor.Mode.JSON_SCHEMA, Weather, WEATHER_QUESTION)
    return {"value": value.model_dump()}


if __name__ == "__main__":
    report(
        "instructor",
        {
            "plain": plain,
            "streamed": stream,
            "budget": budget,
            "tools": tools,
            "structured": structured,
        },
    )
