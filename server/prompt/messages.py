"""Converts chat messages to the form that chat templates expect.

Checks roles, joins text parts, and parses tool arguments. Does not know the template, only whether
it supports the developer role.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from server.errors.internal import PromptError

ROLES = ("system", "developer", "user", "assistant", "tool")
_TEXT_PARTS = ("text", "input_text", "output_text", "refusal")
IMAGE_PART = "image_url"
MAX_MESSAGES = 4_096  # per request, on every endpoint; also the limit for items of Responses


def normalize_messages(
    messages: Sequence[Mapping[str, Any]], *, knows_developer: bool
) -> list[dict[str, Any]]:
    """Return copies with a known role, content as text, and tool arguments as objects.

    Content with images stays a list of text parts and ``{"type": "image"}`` placeholders.

    Raises:
        PromptError: there are no messages, or one has an unknown role or content that is not text.
    """
    if not messages:
        raise PromptError("messages", "at least one message is needed")
    return [
        _normalize_message(message, f"messages[{place}]", knows_developer)
        for place, message in enumerate(messages)
    ]


def _normalize_message(
    message: Mapping[str, Any], field: str, knows_developer: bool
) -> dict[str, Any]:
    role = message.get("role")
    if role not in ROLES:
        raise PromptError(f"{field}.role", f"must be one of {', '.join(ROLES)}")
    if role == "developer" and not knows_developer:
        role = "system"
    plain = {key: value for key, value in message.items() if value is not None}
    plain |= {
        "role": role,
        "content": _normalize_content(message.get("content"), f"{field}.content"),
    }
    if calls := plain.get("tool_calls"):
        plain["tool_calls"] = [_parse_arguments(call) for call in calls]
    return plain


def _normalize_content(content: Any, field: str) -> str | list[dict[str, str]]:
    """Return the content as one text, with parts joined by line breaks as in vLLM."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        raise PromptError(field, "must be a string or a list of text parts")
    if any(_is_image(part) for part in content):
        return [_to_template_part(part, f"{field}[{i}]") for i, part in enumerate(content)]
    return "\n".join(_get_part_text(part, f"{field}[{i}]") for i, part in enumerate(content))


def _is_image(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == IMAGE_PART


def _to_template_part(part: Any, field: str) -> dict[str, str]:
    """Return a content part in the form that templates with image support read."""
    if _is_image(part):
        return {"type": "image"}
    return {"type": "text", "text": _get_part_text(part, field)}


def _get_part_text(part: Any, field: str) -> str:
    if isinstance(part, str):
        return part
    kind = part.get("type", "text") if isinstance(part, Mapping) else None
    if kind not in _TEXT_PARTS:
        raise PromptError(field, "should be a text or an image_url part")
    text = part.get("refusal" if kind == "refusal" else "text")
    if not isinstance(text, str):
        raise PromptError(f"{field}.text", "must be a string")
    return text


def _parse_arguments(call: Any) -> Any:
    """Return a tool call with its arguments parsed; templates serialize them again.

    Parsing happens before the search for control tokens because JSON may escape them.
    """
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), str):
        return call
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        return call
    return {**call, "function": {**function, "arguments": arguments}}
