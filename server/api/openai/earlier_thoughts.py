"""Thoughts of earlier replies, in the forms in which clients send them back.

LiteLLM, OpenRouter, LangChain and others each have a form. A thought that cannot be read, such as
one that another server has encrypted, is left out. Does not know whether the model's template
reads earlier thoughts.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Types of content parts that hold a thought.
THOUGHT_PARTS = frozenset(
    "thinking redacted_thinking reasoning reasoning_content reasoning_text".split()
)
# Fields of a message that hold a thought: as text, or as a list of blocks.
THOUGHT_FIELDS = (
    "reasoning_content",
    "reasoning",
    "thinking",
    "thinking_blocks",
    "reasoning_details",
)
# Fields of a block that may hold its text, or further blocks.
_TEXT_FIELDS = ("thinking", "text", "reasoning", "reasoning_content", "reasoningText", "summary")
_MAX_DEPTH = 4


def find_thought(fields: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> str:
    """Return the thought in a message's `fields` or in the `parts` of its content; "" if none.

    A thought that is sent in several forms is taken from the first one.
    """
    candidates = (*(fields.get(name) for name in THOUGHT_FIELDS), list(parts))
    return next((text for value in candidates if (text := read_thought(value))), "")


def find_unreadable(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths, inside a message, of the thoughts that have no readable text."""
    for name in THOUGHT_FIELDS:
        value = fields.get(name)
        if isinstance(value, list):
            yield from (f"{name}[{i}]" for i, block in enumerate(value) if not read_thought(block))
        elif value and not read_thought(value):
            yield name


def read_thought(value: Any, depth: int = 0) -> str:
    """Return the text of a thought: a text, a block, or a list of blocks, of any known form."""
    if isinstance(value, str):
        return value
    if depth == _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        return "".join(read_thought(block, depth + 1) for block in value)
    if not isinstance(value, dict):
        return ""
    texts = (read_thought(value.get(name), depth + 1) for name in _TEXT_FIELDS)
    return next((text for text in texts if text), "")
