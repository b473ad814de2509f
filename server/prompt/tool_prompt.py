"""Adds tools to a prompt: through the chat template, or as text if it does not support tools.

The text is that of Hermes, as in Qwen2.5's template, which many models have seen in training.
Earlier calls and results are then written as text too. Renders nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from server.prompt.conversation import Conversation
from server.prompt.messages import normalize_messages
from server.tools.families import has_tool_support
from server.tools.tool import Tool, ToolMode, ToolUse

Content = str | list[dict[str, Any]]
_PROMPT = """\
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def with_tools(conversation: Conversation, use: ToolUse | None, chat_template: Any) -> Conversation:
    """Return `conversation` with the tools that may be called and with its earlier calls.

    Raises:
        PromptError: see :func:`server.prompt.messages.normalize_messages`.
    """
    tools = use.tools if use is not None and use.mode is not ToolMode.NONE else ()
    if has_tool_support(chat_template):
        return replace(conversation, tools=[tool.to_dict() for tool in tools])
    if not tools and not any(_is_tool_message(message) for message in conversation.messages):
        return conversation
    plain = _normalize(conversation.messages)
    return replace(conversation, messages=_with_prompt(_to_text_messages(plain), tools))


def _normalize(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Normalize messages, but keep content with images unchanged: images are extracted later."""
    plain = normalize_messages(messages, knows_developer=True)
    return [
        {**made, "content": given["content"]} if isinstance(made["content"], list) else made
        for made, given in zip(plain, messages, strict=True)
    ]


def _is_tool_message(message: Mapping[str, Any]) -> bool:
    return message.get("role") == "tool" or bool(message.get("tool_calls"))


def _with_prompt(messages: list[dict[str, Any]], tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Add the tool prompt to the system message, or to a new one before all messages."""
    if not tools:
        return messages
    lines = "\n".join(_to_json(tool.to_dict()) for tool in tools)
    prompt = _PROMPT.format(tools=lines)
    first, *rest = messages
    if first["role"] not in ("system", "developer"):
        return [{"role": "system", "content": prompt}, *messages]
    return [{**first, "content": _join([first["content"], "", prompt])}, *rest]


def _to_text_messages(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Write calls as assistant text and results as user text; merge consecutive results."""
    written: list[dict[str, Any]] = []
    was_result = False
    for message in messages:
        is_result = message["role"] == "tool"
        content = _to_result_text(message) if is_result else _with_calls(message)
        if is_result and was_result:
            written[-1]["content"] = _join([written[-1]["content"], content])
        else:
            role = "user" if is_result else message["role"]
            kept = {k: v for k, v in message.items() if k not in ("tool_calls", "tool_call_id")}
            written.append({**kept, "role": role, "content": content})
        was_result = is_result
    return written


def _to_result_text(message: Mapping[str, Any]) -> Content:
    return _join(["<tool_response>", message["content"], "</tool_response>"])


def _with_calls(message: Mapping[str, Any]) -> Content:
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    texts = [
        f"<tool_call>\n{_to_json({key: call[key] for key in ('name', 'arguments')})}\n</tool_call>"
        for call in calls
    ]
    return _join([content for content in (message["content"], *texts) if content])


def _join(contents: Sequence[Content]) -> Content:
    """Return one text, or a list of parts if one of the contents has parts."""
    texts = [content for content in contents if isinstance(content, str)]
    if len(texts) == len(contents):
        return "\n".join(texts)
    return [part for content in contents for part in _to_parts(content)]


def _to_parts(content: Content) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
