"""``prompt``: one text or several, or their token ids; a list of what was asked for, in order.

Checked without a model: whether an id is one of its tokens, and whether a text has any, is
found later.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

# Of all prompts together: each is an engine request.
MAX_ALL_CHOICES = 256
_WHAT = "a string, a list of strings, a list of token ids, or a list of such lists"
_IDS = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        _IDS,
        {"type": "array", "items": _IDS, "minItems": 1},
        {"type": "null"},
    ]
}


def _to_prompts(value: Any) -> list[str | list[int]]:
    """A list of prompts; null is the beginning of a text."""
    if value is None or isinstance(value, str):
        return [value or ""]
    if not isinstance(value, list):
        raise _validation_error(f"should be {_WHAT}")
    if not value:
        raise _validation_error("should not be an empty list")
    if _are_ids(value):
        return [value]
    is_text = isinstance(value[0], str)
    for place, prompt in enumerate(value):
        if isinstance(prompt, str) != is_text or not (is_text or _are_ids(prompt)):
            kind = "a string" if is_text else "a token id or a list of token ids"
            raise _validation_error(
                f"prompt[{place}] should be {kind}, as the whole should be {_WHAT}"
            )
        if prompt == []:
            raise _validation_error(f"prompt[{place}] should not be an empty list")
    return value


def _are_ids(value: Any) -> bool:
    # True and False are integers, to Python.
    return isinstance(value, list) and all(type(item) is int for item in value)


def _validation_error(message: str) -> PydanticCustomError:
    return PydanticCustomError("prompt", "{text}", {"text": message})


def get_prompt_fields(prompts: Sequence[str | list[int]]) -> list[str]:
    """How messages call each of them."""
    if len(prompts) == 1:
        return ["prompt"]
    return [f"prompt[{place}]" for place in range(len(prompts))]


Prompts = Annotated[
    list[str | list[int]],
    BeforeValidator(_to_prompts),
    WithJsonSchema(_SCHEMA),
    Field(
        max_length=MAX_ALL_CHOICES,
        validate_default=True,
        description="Control tokens typed in a text are plain text; token ids are what they are.",
    ),
]
