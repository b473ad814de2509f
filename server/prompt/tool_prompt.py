"""Telling a model of its tools: through its chat template, or in words where that has no place.

The words are those of Hermes, as in Qwen2.5's template: many models have seen them. Earlier
calls and results are then text too. Renders nothing.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from server.prompt.conversation import Conversation
from server.prompt.messages import plain_messages
from server.tools.families import speaks_of_tools
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


def told_of_tools(
    conversation: Conversation, use: ToolUse | None, chat_template: Any
) -> Conversation:
    """`conversation` with the tools that may be called, and with its earlier calls.

    Raises:
        PromptError: see :func:`server.prompt.messages.plain_messages`.
    """
    tools = use.tools if use is not None and use.mode is not ToolMode.NONE else ()
    if speaks_of_tools(chat_template):
        return replace(conversation, tools=[tool.to_dict() for tool in tools])
    if not tools and not any(_is_of_tools(message) for message in conversation.messages):
        return conversation
    plain = _plain(conversation.messages)
    return replace(conversation, messages=_with_prompt(_as_text(plain), tools))


def _plain(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Content as text; where it has images it is left as it is, for they are read later."""
    plain = plain_messages(messages, knows_developer=True)
    return [
        {**made, "content": given["content"]} if isinstance(made["content"], list) else made
        for made, given in zip(plain, messages, strict=True)
    ]


def _is_of_tools(message: Mapping[str, Any]) -> bool:
    return message.get("role") == "tool" or bool(message.get("tool_calls"))


def _with_prompt(messages: list[dict[str, Any]], tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """In the system's message, or in one before all others."""
    if not tools:
        return messages
    lines = "\n".join(_json(tool.to_dict()) for tool in tools)
    prompt = _PROMPT.format(tools=lines)
    first, *rest = messages
    if first["role"] not in ("system", "developer"):
        return [{"role": "system", "content": prompt}, *messages]
    return [{**first, "content": _joined([first["content"], "", prompt])}, *rest]


def _as_text(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Calls are the assistant's words; results are a user's, those in a row in one message."""
    written: list[dict[str, Any]] = []
    was_result = False
    for message in messages:
        is_result = message["role"] == "tool"
        content = _result(message) if is_result else _with_calls(message)
        if is_result and was_result:
            written[-1]["content"] = _joined([written[-1]["content"], content])
        else:
            role = "user" if is_result else message["role"]
            kept = {k: v for k, v in message.items() if k not in ("tool_calls", "tool_call_id")}
            written.append({**kept, "role": role, "content": content})
        was_result = is_result
    return written


def _result(message: Mapping[str, Any]) -> Content:
    return _joined(["<tool_response>", message["content"], "</tool_response>"])


def _with_calls(message: Mapping[str, Any]) -> Content:
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    texts = [
        f"<tool_call>\n{_json({key: call[key] for key in ('name', 'arguments')})}\n</tool_call>"
        for call in calls
    ]
    return _joined([content for content in (message["content"], *texts) if content])


def _joined(contents: Sequence[Content]) -> Content:
    """One text; parts where one of them has parts."""
    texts = [content for content in contents if isinstance(content, str)]
    if len(texts) == len(contents):
        return "\n".join(texts)
    return [part for content in contents for part in _parts(content)]


def _parts(content: Content) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
