"""LiteLLM as a library, with its provider for servers that speak OpenAI's protocol."""

import json
from typing import Any

import litellm

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


def ask(question: str = QUESTION, **fields: Any) -> Any:
    return litellm.completion(
        model=f"openai/{MODEL}",
        api_base=f"{base_url()}/v1",
        api_key="none",
        temperature=0,
        **{"messages": [{"role": "user", "content": question}]} | fields,
    )


def plain() -> Reply:
    return {"text": ask(max_tokens=MAX_TOKENS).choices[0].message.content}


def stream() -> Reply:
    chunks = ask(max_tokens=MAX_TOKENS, stream=True)
    return streamed([chunk.choices[0].delta.content or "" for chunk in chunks])


def budget() -> Reply:
    usage = ask(max_tokens=MAX_TOKENS, max_thinking_tokens=BUDGET).usage
    return {"reasoning_tokens": usage.completion_tokens_details.reasoning_tokens}


def tools() -> Reply:
    completion = ask(
        WEATHER_QUESTION,
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": TOOL_NAME}},
        max_thinking_tokens=BUDGET,
    )
    (call,) = completion.choices[0].message.tool_calls
    return {"name": call.function.name, "arguments": json.loads(call.function.arguments)}


def structured() -> Reply:
    completion = ask(WEATHER_QUESTION, response_format=Weather, max_thinking_tokens=BUDGET)
    return {"value": json.loads(completion.choices[0].message.content)}


def responses() -> Reply:
    response = litellm.responses(
        model=f"openai/{MODEL}",
        api_base=f"{base_url()}/v1",
        api_key="none",
        input=QUESTION,
        max_output_tokens=MAX_TOKENS,
        temperature=0,
        extra_body={"max_thinking_tokens": BUDGET},
    )
    return {
        "text": response.output_text,
        "reasoning_tokens": response.usage.output_tokens_details.reasoning_tokens,
    }


def messages() -> Reply:
    """LiteLLM's other provider: the same server as if it were Anthropic's."""
    completion = litellm.completion(
        model=f"anthropic/{MODEL}",
        api_base=base_url(),
        api_key="none",
        messages=[{"role": "user", "content": QUESTION}],
        max_tokens=MAX_TOKENS,
        temperature=0,
        thinking={"type": "enabled", "budget_tokens": BUDGET},
        allowed_openai_params=["thinking"],  # it does not know that our model thinks
    )
    return {
        "text": completion.choices[0].message.content,
        "reasoning_tokens": completion.usage.completion_tokens_details.reasoning_tokens,
    }


def completions() -> Reply:
    completion = litellm.text_completion(
        model=f"text-completion-openai/{MODEL}",
        api_base=f"{base_url()}/v1",
        api_key="none",
        prompt="17 + 25 =",
        max_tokens=MAX_TOKENS,
        temperature=0,
        max_thinking_tokens=BUDGET,
    )
    return {
        "text": completion.choices[0].text,
        "reasoning_tokens": completion.usage.completion_tokens_details.reasoning_tokens,
    }


def history() -> Reply:
    """Send replies back as they came: one with a thought, and one with a call."""
    question: Any = {"role": "user", "content": QUESTION}
    thinking = ask(max_tokens=MAX_TOKENS, max_thinking_tokens=BUDGET, include_reasoning=True)
    calling = ask(WEATHER_QUESTION, tools=[TOOL], tool_choice="required", parallel_tool_calls=False)
    call = calling.choices[0].message.tool_calls[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": "4"}
    texts = []
    for message, following in (
        (thinking.choices[0].message, question),
        (calling.choices[0].message, result),
    ):
        for back in (message, message.model_dump()):
            completion = ask(messages=[question, back, following], max_tokens=MAX_TOKENS)
            texts.append(completion.choices[0].message.content)
    return {"texts": texts}


def overflow() -> Reply:
    """Return the error's class for a prompt that does not fit, by provider."""
    errors = {}
    for provider, base in (("openai", f"{base_url()}/v1"), ("hosted_vllm", f"{base_url()}/v1")):
        try:
            litellm.completion(
                model=f"{provider}/{MODEL}",
                api_base=base,
                api_key="none",
                messages=[{"role": "user", "content": "word " * 9_000}],
                max_tokens=4,
            )
        except Exception as error:
            errors[provider] = type(error).__name__
    return {"errors": errors}


if __name__ == "__main__":
    report(
        "litellm",
        {
            "plain": plain,
            "streamed": stream,
            "budget": budget,
            "tools": tools,
            "structured": structured,
            "responses": responses,
            "messages": messages,
            "completions": completions,
            "history": history,
            "overflow": overflow,
        },
    )
