"""Pydantic AI: agents on Chat Completions, and one on Responses."""

from typing import Any

from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

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

provider = OpenAIProvider(base_url=f"{base_url()}/v1", api_key="none")
chat_model = OpenAIChatModel(MODEL, provider=provider)
GREEDY = {"max_tokens": MAX_TOKENS, "temperature": 0.0}
BUDGETED = {**GREEDY, "extra_body": {"max_thinking_tokens": BUDGET}}


def agent(model: Any = chat_model, output_type: Any = str, settings: Any = BUDGETED) -> Any:
    return Agent(model, output_type=output_type, model_settings=settings, retries=0)


def plain() -> Reply:
    return {"text": agent(settings=GREEDY).run_sync(QUESTION).output}


def stream() -> Reply:
    result = agent(settings=GREEDY).run_stream_sync(QUESTION)
    return streamed(list(result.stream_text(delta=True, debounce_by=None)))


def budget() -> Reply:
    usage = agent().run_sync(QUESTION).usage
    return {"reasoning_tokens": usage.details["reasoning_tokens"]}


def tools() -> Reply:
    """An output tool: the agent insists on a call, and reads its arguments."""
    output = ToolOutput(Weather, name=TOOL_NAME, description=TOOL_TEXT)
    value = agent(output_type=output).run_sync(WEATHER_QUESTION).output
    return {"name": TOOL_NAME, "arguments": value.model_dump()}


def structured() -> Reply:
    value = agent(output_type=NativeOutput(Weather)).run_sync(WEATHER_QUESTION).output
    return {"value": value.model_dump()}


def responses() -> Reply:
    result = agent(OpenAIResponsesModel(MODEL, provider=provider)).run_sync(QUESTION)
    return {"text": result.output, "reasoning_tokens": result.usage.details["reasoning_tokens"]}


if __name__ == "__main__":
    report(
        "pydantic-ai-slim",
        {
            "plain": plain,
            "streamed": stream,
            "budget": budget,
            "tools": tools,
            "structured": structured,
            "responses": responses,
        },
    )
