"""Chat messages in the form that chat templates expect.

Checks roles, joins text parts, opens tool arguments. Does not know the template, only
whether it knows the developer role.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from server.errors.internal import PromptError

ROLES = ("system", "developer", "user", "assistant", "tool")
_TEXT_PARTS = ("text", "input_text", "output_text", "refusal")
IMAGE_PART = "image_url"
MAX_MESSAGES = 4_096  # of one request, on every endpoint; items of Responses too


def plain_messages(
    messages: Sequence[Mapping[str, Any]], *, knows_developer: bool
) -> list[dict[str, Any]]:
    """Copies with a known role, content as text, and tool arguments as objects.

    Content with images stays a list: texts, and ``{"type": "image"}`` where one stands.

    Raises:
        PromptError: no messages, an unknown role, or content that is not text.
    """
    if not messages:
        raise PromptError("messages", "at least one message is needed")
    return [
        _plain_message(message, f"messages[{place}]", knows_developer)
        for place, message in enumerate(messages)
    ]


def _plain_message(message: Mapping[str, Any], field: str, knows_developer: bool) -> dict[str, Any]:
    role = message.get("role")
    if role not in ROLES:
        raise PromptError(f"{field}.role", f"must be one of {', '.join(ROLES)}")
    if role == "developer" and not knows_developer:
        role = "system"
    plain = {key: value for key, value in message.items() if value is not None}
    plain |= {"role": role, "content": _content_of(message.get("content"), f"{field}.content")}
    if calls := plain.get("tool_calls"):
        plain["tool_calls"] = [_opened_call(call) for call in calls]
    return plain


def _content_of(content: Any, field: str) -> str | list[dict[str, str]]:
    """Content as one text; parts are joined by line breaks, as vLLM does."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        raise PromptError(field, "must be a text or a list of text parts")
    if any(_is_image(part) for part in content):
        return [_template_part(part, f"{field}[{i}]") for i, part in enumerate(content)]
    return "\n".join(_part_text(part, f"{field}[{i}]") for i, part in enumerate(content))


def _is_image(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == IMAGE_PART


def _template_part(part: Any, field: str) -> dict[str, str]:
    """A part as templates that know images read it."""
    if _is_image(part):
        return {"type": "image"}
    return {"type": "text", "text": _part_text(part, field)}


def _part_text(part: Any, field: str) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type", "text") if isinstance(part, Mapping) else None
    if kind not in _TEXT_PARTS:
        raise PromptError(field, "should be a text or an image_url part")
    text = part.get("refusal" if kind == "refusal" else "text")
    if not isinstance(text, str):
        raise PromptError(f"{field}.text", "must be a text")
    return text


def _opened_call(call: Any) -> Any:
    """A tool call with its arguments as an object: templates write them as JSON again.

    Opened before control tokens are looked for, which JSON may have escaped.
    """
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), str):
        return call
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        return call
    return {**call, "function": {**function, "arguments": arguments}}
