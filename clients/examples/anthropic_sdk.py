"""Anthropic's SDK for Python. `pip install anthropic`, then `python anthropic_sdk.py`."""

import json
import os

from anthropic import Anthropic
from anthropic.types import MessageParam, ToolParam, ToolResultBlockParam

MODEL = os.environ.get("MODEL", "smollm2-135m-instruct")
client = Anthropic(
    base_url=os.environ.get("ANTHROPIC_BASE_URL", "http://127.0.0.1:8000"),
    api_key=os.environ.get("ANTHROPIC_API_KEY", "none"),
)
question: list[MessageParam] = [{"role": "user", "content": "What is 17 + 25?"}]

print("# A plain call")
message = client.messages.create(model=MODEL, messages=question, max_tokens=100)
print("".join(block.text for block in message.content if block.type == "text"))

print("\n# Streamed")
with client.messages.stream(model=MODEL, messages=question, max_tokens=100) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
print()

print("\n# With a budget: at most 64 hidden tokens, all counted")
message = client.messages.create(
    model=MODEL,
    messages=question,
    max_tokens=100,
    thinking={"type": "enabled", "budget_tokens": 64, "display": "summarized"},  # show the thought
)
for block in message.content:
    if block.type == "thinking":
        print("thought:", block.thinking)
    elif block.type == "text":
        print("answer: ", block.text)
print("receipt:", json.dumps((message.model_extra or {})["thinking"]))
print("usage:  ", message.usage.output_tokens_details)

print("\n# With a tool")
get_weather: ToolParam = {
    "name": "get_weather",
    "description": "Get the weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Berlin", "Paris"]}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
messages: list[MessageParam] = [{"role": "user", "content": "What is the weather in Paris?"}]
message = client.messages.create(
    model=MODEL,
    messages=messages,
    max_tokens=200,
    thinking={"type": "enabled", "budget_tokens": 64},
    tools=[get_weather],
    tool_choice={"type": "any"},  # a large model may decide by itself: "auto"
)
results: list[ToolResultBlockParam] = []
for block in message.content:
    if block.type == "tool_use":
        print(f"call:   {block.name}({json.dumps(block.input)})")
        results.append({"type": "tool_result", "tool_use_id": block.id, "content": "Sunny, 21 °C."})
messages.append({"role": "assistant", "content": message.content})
messages.append({"role": "user", "content": results})
message = client.messages.create(
    model=MODEL,
    messages=messages,
    max_tokens=100,
    tools=[get_weather],
    tool_choice={"type": "none"},
)
print("answer:", "".join(block.text for block in message.content if block.type == "text"))
