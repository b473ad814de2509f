"""LangChain's chat model for OpenAI's protocol, and the same on Responses."""

from typing import Any

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
            "responses": responses,
        },
    )
