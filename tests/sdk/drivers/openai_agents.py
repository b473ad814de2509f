"""OpenAI's Agents SDK, with its model for Chat Completions and that for Responses."""

import asyncio
from typing import Any, Literal

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent

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

Kind = type[OpenAIChatCompletionsModel | OpenAIResponsesModel]
MAX_TURNS = 2
calls: list[dict[str, str]] = []


@function_tool(name_override=TOOL_NAME, description_override=TOOL_TEXT)
def get_weather(city: Literal["Berlin", "Paris"], unit: Literal["celsius", "fahrenheit"]) -> str:
    """Record what the model asks for."""
    calls.append({"city": city, "unit": unit})
    return f"It is 20 degrees {unit} in {city}."


def make_agent(kind: Kind = OpenAIChatCompletionsModel, **fields: Any) -> Agent[None]:
    client = AsyncOpenAI(base_url=f"{base_url()}/v1", api_key="none", max_retries=0)
    settings = ModelSettings(
        temperature=0, extra_body={"max_thinking_tokens": BUDGET}, **fields.pop("settings", {})
    )
    return Agent(name="agent", model=kind(MODEL, client), model_settings=settings, **fields)


def run(agent: Agent[None], question: str = QUESTION) -> Any:
    return asyncio.run(Runner.run(agent, question, max_turns=MAX_TURNS))


def short(kind: Kind = OpenAIChatCompletionsModel) -> Agent[None]:
    return make_agent(kind, settings={"max_tokens": MAX_TOKENS})


def count_hidden(result: Any) -> int:
    return int(result.context_wrapper.usage.output_tokens_details.reasoning_tokens)


def plain() -> Reply:
    return {"text": run(short()).final_output}


def stream() -> Reply:
    async def read() -> list[str]:
        result = Runner.run_streamed(short(), QUESTION)
        return [
            event.data.delta
            async for event in result.stream_events()
            if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent)
        ]

    return streamed(asyncio.run(read()))


def budget() -> Reply:
    return {"reasoning_tokens": count_hidden(run(short()))}


def tools() -> Reply:
    calls.clear()
    settings = {"tool_choice": TOOL_NAME, "parallel_tool_calls": False}
    run(
        make_agent(settings=settings, tools=[get_weather], tool_use_behavior="stop_on_first_tool"),
        WEATHER_QUESTION,
    )
    return {"name": TOOL_NAME, "arguments": calls[0]}


def structured() -> Reply:
    result = run(make_agent(output_type=Weather), WEATHER_QUESTION)
    return {"value": result.final_output.model_dump()}


def agent() -> Reply:
    """Run an agent that has tools and a type of its answer, which each request has together."""
    calls.clear()
    get_weather.is_enabled = lambda *_: not calls  # else a small model may call it forever
    acting = make_agent(
        tools=[get_weather],
        output_type=Weather,
        settings={"tool_choice": "required", "parallel_tool_calls": False},
    )
    result = run(acting, WEATHER_QUESTION)
    get_weather.is_enabled = True
    return {"value": result.final_output.model_dump(), "num_calls": len(calls)}


def responses() -> Reply:
    """Ask for an answer that ends by itself: the SDK raises for one that its limit has cut."""
    result = run(make_agent(OpenAIResponsesModel, output_type=Weather), WEATHER_QUESTION)
    text = result.final_output.model_dump_json()
    return {"text": text, "reasoning_tokens": count_hidden(result)}


if __name__ == "__main__":
    set_tracing_disabled(disabled=True)
    report(
        "openai-agents",
        {
            "plain": plain,
            "streamed": stream,
            "budget": budget,
            "tools": tools,
            "structured": structured,
            "agent": agent,
            "responses": responses,
        },
    )
