"""Content parts in a Responses body: text, refusals and images.

Each part is validated by the class of its type, so that errors name the exact field. Does not know
whether the model reads images.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import PlainValidator, TypeAdapter
from pydantic_core import PydanticCustomError

from server.api.body import StrictModel
from server.api.fields.only_values import Unsupported


class TextPart(StrictModel):
    """Text of any role. The other fields come from our own output; they are not used."""

    type: Literal["input_text", "output_text", "text"]
    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None
    parsed: Any = None  # added by OpenAI's client
    prompt_cache_breakpoint: dict[str, Any] | None = None

    def to_chat(self) -> dict[str, Any]:
        """Return the part in the form of a chat message."""
        return {"type": "text", "text": self.text}


class RefusalPart(StrictModel):
    """Refusal, by another model."""

    type: Literal["refusal"]
    refusal: str

    def to_chat(self) -> dict[str, Any]:
        """Return the part in the form of a chat message."""
        return {"type": "text", "text": self.refusal}


class ImagePart(StrictModel):
    """Image, by its URL."""

    type: Literal["input_image"]
    image_url: str
    detail: Literal["low", "high", "auto", "original"] | None = None
    file_id: Unsupported = None
    prompt_cache_breakpoint: dict[str, Any] | None = None

    def to_chat(self) -> dict[str, Any]:
        """Return the part in the form of a chat message."""
        return {"type": "image_url", "image_url": {"url": self.image_url}}


Part = TextPart | RefusalPart | ImagePart
_MODELS: Mapping[str, type[Part]] = {
    "input_text": TextPart,
    "output_text": TextPart,
    "text": TextPart,
    "refusal": RefusalPart,
    "input_image": ImagePart,
}


def validation_error(text: str) -> PydanticCustomError:
    """Return the error for the field that is being validated."""
    return PydanticCustomError("item", "{text}", {"text": text})


def get_kind(
    value: Any,
    kinds: Mapping[str, Any],
    default: str | None = None,
    *,
    accepts_others: bool = False,
) -> str:
    """Return the `type` of an object, or `default` if it has none.

    Raises:
        PydanticCustomError: the value is no object, or its type is not among `kinds` and
            `accepts_others` is false.
    """
    if not isinstance(value, dict):
        raise validation_error("should be an object")
    kind = value.get("type") or default
    if not isinstance(kind, str) or not (accepts_others or kind in kinds):
        raise validation_error(
            f"'type' should be one of {', '.join(map(repr, kinds))}; no other is supported"
        )
    return kind


def _parse_part(value: Any) -> Part:
    return _MODELS[get_kind(value, _MODELS)].model_validate(value)


def _parse_content(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise validation_error("should be a string or a list of parts")
    return _PARTS.validate_python(value)


_PARTS = TypeAdapter(list[Annotated[Part, PlainValidator(_parse_part)]])
Content = Annotated[
    str | list[Part], PlainValidator(_parse_content, json_schema_input_type=str | list[Part])
]


def to_chat_content(content: str | list[Part]) -> str | list[dict[str, Any]]:
    """Return `content` in the form of a chat message."""
    return content if isinstance(content, str) else [part.to_chat() for part in content]


def to_listed_content(content: str | list[Part], role: str) -> list[dict[str, Any]]:
    """Return `content` as OpenAI lists it; the type of its parts depends on `role`."""
    parts = [TextPart(type="text", text=content)] if isinstance(content, str) else content
    return [_to_listed(part, role) for part in parts]


def _to_listed(part: Part, role: str) -> dict[str, Any]:
    if isinstance(part, TextPart):
        if role == "assistant":
            return {"type": "output_text", "text": part.text, "annotations": [], "logprobs": []}
        return {"type": "input_text", "text": part.text}
    if isinstance(part, ImagePart):
        detail = part.detail or "auto"
        return {"type": "input_image", "image_url": part.image_url, "detail": detail}
    return {"type": "refusal", "refusal": part.refusal}
