"""``prompt``: one or several texts, or their token ids, read as a list in the order of the body.

Does not know the model: whether a token id exists, and whether a text has any tokens, is checked
later.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

# Of all prompts together, as each choice is an engine request.
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
    """Return the prompts as a list; null is an empty text."""
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
    # In Python, True and False are integers.
    return isinstance(value, list) and all(type(item) is int for item in value)


def _validation_error(message: str) -> PydanticCustomError:
    return PydanticCustomError("prompt", "{text}", {"text": message})


def get_prompt_fields(prompts: Sequence[str | list[int]]) -> list[str]:
    """Return the path of each prompt, for error messages."""
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
        description="Control tokens in a text are plain text; token ids are used as they are.",
    ),
]
