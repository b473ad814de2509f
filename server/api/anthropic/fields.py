"""Kinds of fields that many objects of Anthropic's API have. Knows no block and no tool."""

from typing import Annotated, Any

from pydantic import Field
from pydantic_core import PydanticCustomError, from_json

CacheControl = Annotated[
    dict[str, Any] | None,
    Field(description="Accepted, without effect: prompt prefixes are always cached."),
]
Unused = Annotated[Any, Field(description="Accepted, without effect.")]


def validation_error(text: str) -> PydanticCustomError:
    """Return the error for a value; `text` follows the field's name in the message."""
    return PydanticCustomError("messages_api", "{text}", {"text": text})


def to_object(value: Any) -> Any:
    """Return the input of a call as an object: some clients keep it as JSON text, or as nothing."""
    if value is None or value == "":
        return {}
    if not isinstance(value, str):
        return value
    try:
        return from_json(value)
    except ValueError:
        raise validation_error("should be an object, or its JSON text") from None
