"""LangChain's chat model for OpenAI's protocol, the same on Responses, and its agents."""

from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import ModelRequest, ModelResponse, wrap_model_call
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_openai import ChatOpenAI

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
from tests.sdk.drivers.weather import TOOL, TOOL_NAME, WEATHER_QUESTION, Weather


def model(**fields: Any) -> ChatOpenAI:
    fields = {"max_completion_tokens": MAX_TOKENS, "max_retries": 0, "temperature": 0} | fields
    return ChatOpenAI(model=MODEL, base_url=f"{base_url()}/v1", api_key="none", **fields)


def budgeted(**fields: Any) -> ChatOpenAI:
    return model(extra_body={"max_thinking_tokens": BUDGET}, **fields)


def plain() -> Reply:
    return {"text": model().invoke(QUESTION).content}


def stream() -> Reply:
    return streamed([chunk.text for chunk in model().stream(QUESTION)])


def budget() -> Reply:
    usage = budgeted().invoke(QUESTION).usage_metadata
    return {"reasoning_tokens": usage["output_token_details"]["reasoning"]}


def tools() -> Reply:
    bound = budgeted().bind_tools([TOOL], tool_choice=TOOL_NAME)
    (call,) = bound.invoke(WEATHER_QUESTION).tool_calls
    return {"name": call["name"], "arguments": call["args"]}


def structured() -> Reply:
    held = budgeted().with_structured_output(Weather)
    return {"value": held.invoke(WEATHER_QUESTION).model_dump()}


@wrap_model_call
def call_once(request: ModelRequest, handler: Any) -> ModelResponse:
    """Offer tools in the first request only: a small model may go on calling."""
    return handler(request if len(request.messages) == 1 else request.override(tools=[]))


def get_weather(city: str) -> str:
    """Return the weather of a city."""
    return f"It is 20 degrees in {city}."


def agent() -> Reply:
    """Run agents that have an answer's type: beside tools, or as a tool itself."""
    question: Any = {"messages": [{"role": "user", "content": WEATHER_QUESTION}]}
    fields = {"max_thinking_tokens": BUDGET, "parallel_tool_calls": False}
    calling = model(extra_body=fields, max_completion_tokens=4 * MAX_TOKENS)
    beside = create_agent(
        calling,
        [get_weather],
        response_format=ProviderStrategy(Weather),
        middleware=[call_once],
    ).invoke(question)
    as_tool = create_agent(calling, response_format=ToolStrategy(Weather)).invoke(question)
    calls = [call for message in beside["messages"] for call in getattr(message, "tool_calls", ())]
    assert as_tool["structured_response"]
    return {"value": beside["structured_response"].model_dump(), "num_calls": len(calls)}


def responses() -> Reply:
    message = budgeted(use_responses_api=True).invoke(QUESTION)
    details = message.usage_metadata["output_token_details"]
    return {"text": message.text, "reasoning_tokens": details["reasoning"]}


if __name__ == "__main__":
    report(
        "langchain-openai",
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
