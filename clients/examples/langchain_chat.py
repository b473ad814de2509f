"""LangChain. `pip install langchain-openai`, then `python langchain_chat.py`."""

import os
from typing import Literal

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


def make_model(max_thinking_tokens: int | None = None) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
        api_key=os.environ.get("OPENAI_API_KEY", "none"),
        model=os.environ.get("MODEL", "smollm2-135m-instruct"),
        max_completion_tokens=100,
        extra_body={"max_thinking_tokens": max_thinking_tokens},  # None: the server's default
    )


@tool
def get_weather(city: Literal["Berlin", "Paris"]) -> str:
    """Get the weather in a city."""
    return f"In {city} it is sunny, 21 °C."


print("# A plain call")
print(make_model().invoke("What is 17 + 25?").content)

print("\n# Streamed")
for chunk in make_model().stream("What is 17 + 25?"):
    print(chunk.text, end="", flush=True)
print()

print("\n# With a budget: at most 64 hidden tokens, all counted")
message = make_model(max_thinking_tokens=64).invoke("What is 17 + 25?")
print("answer: ", message.content)
# LangChain keeps only the fields of OpenAI's replies: of our receipt, the token count.
print("used:   ", message.usage_metadata["output_token_details"]["reasoning"])

print("\n# With a tool")
messages = [HumanMessage("What is the weather in Paris?")]
# A large model may decide by itself: tool_choice="auto".
call = make_model(64).bind_tools([get_weather], tool_choice="any").invoke(messages)
messages.append(call)
for wanted in call.tool_calls:
    print(f"call:   {wanted['name']}({wanted['args']})")
    messages.append(get_weather.invoke(wanted))
print("answer:", make_model().invoke(messages).content)
