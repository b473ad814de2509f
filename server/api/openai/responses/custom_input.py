"""Reads the text for a custom tool out of the arguments that a model wrote for it.

The model is asked for one string, `input`, but where no grammar forces it, it may write anything:
what it wrote is then the input. Knows no items.
"""

import json
from typing import Any

from pydantic_core import from_json

from server.tools.text_call import INPUT


def read_begun_input(arguments: str) -> str:
    """Return the input so far; "" until it has begun. A longer text never has less of it."""
    try:
        value = from_json(arguments, allow_partial="trailing-strings")
    except ValueError:
        return ""
    return _get_input(value) or ""


def read_input_text(arguments: str) -> str:
    """Return the whole input: that in the arguments, else their only text, else themselves."""
    try:
        value = json.loads(arguments, strict=False)
    except (ValueError, RecursionError):
        return read_begun_input(arguments) or arguments
    text = _get_input(value)
    if text is not None:
        return text
    only = list(value.values()) if isinstance(value, dict) else [value]
    return only[0] if len(only) == 1 and isinstance(only[0], str) else arguments


def _get_input(value: Any) -> str | None:
    text = value.get(INPUT) if isinstance(value, dict) else None
    return text if isinstance(text, str) else None
