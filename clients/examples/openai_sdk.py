"""OpenAI's SDK for Python. `pip install openai`, then `python openai_sdk.py`."""

import json
import os

from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

MODEL = os.environ.get("MODEL", "smollm2-135m-instruct")
client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "none"),
)
question: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is 17 + 25?"}]

print("# A plain call")
completion = client.chat.completions.create(model=MODEL, messages=question, max_tokens=100)
print(completion.choices[0].message.content)

print("\n# Streamed")
for chunk in client.chat.completions.create(
    model=MODEL, messages=question, max_tokens=100, stream=True
):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()

print("\n# With a budget: at most 64 hidden tokens, all counted")
completion = client.chat.completions.create(
    model=MODEL,
    messages=question,
    max_tokens=100,
    extra_body={"max_thinking_tokens": 64, "include_reasoning": True},  # show the thought, too
)
choice = completion.choices[0]
extra = {**(choice.model_extra or {}), **(choice.message.model_extra or {})}
print("thought:", extra["reasoning"])
print("answer: ", choice.message.content)
print("receipt:", json.dumps(extra["thinking"]))
assert completion.usage
print("usage:  ", completion.usage.completion_tokens_details)

print("\n# With a tool")
get_weather: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Berlin", "Paris"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
messages: list[ChatCompletionMessageParam] = [
    {"role": "user", "content": "What is the weather in Paris?"}
]
completion = client.chat.completions.create(
    model=MODEL,
    messages=messages,
    tools=[get_weather],
    tool_choice="required",  # a large model may decide by itself: "auto"
    extra_body={"max_thinking_tokens": 64},
)
message = completion.choices[0].message
messages.append(message.model_dump(exclude_none=True))  # type: ignore[arg-type]
for call in message.tool_calls or []:
    assert call.type == "function"
    print(f"call:   {call.function.name}({call.function.arguments})")
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "Sunny, 21 °C."})
completion = client.chat.completions.create(
    model=MODEL, messages=messages, tools=[get_weather], tool_choice="none", max_tokens=100
)
print("answer:", completion.choices[0].message.content)
