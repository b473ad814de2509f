"""Content parts in a Responses body: text, refusals and images.

Each part is validated by the class of its type, so that errors name the exact field. Earlier
replies may have parts of any type, which are left out, and tools may have given anything, which is
shown as its JSON. Does not know whether the model reads images.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, PlainValidator, TypeAdapter
from pydantic_core import PydanticCustomError

from server.api.body import StrictModel
from server.api.fields.only_values import Unsupported
from server.api.foreign_kinds import mark_part
from server.api.openai.content_parts import is_content, to_result_text

Status = str  # of an item; other servers know more than OpenAI


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


class OtherPart(StrictModel):
    """Part of an earlier reply, of a type that is not known. It is left out."""

    model_config = ConfigDict(extra="allow")

    type: str


Part = TextPart | RefusalPart | ImagePart | OtherPart
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


def _parse_earlier_part(value: Any) -> Part:
    kind = get_kind(value, _MODELS, accepts_others=True)
    return _MODELS.get(kind, OtherPart).model_validate(value)


def parse_content(value: Any, *, is_history: bool) -> Any:
    """Return the content of a message with its parts validated.

    `is_history`: it is an earlier reply, which may have parts of any type, or no content.

    Raises:
        PydanticCustomError, ValidationError: the content is invalid, or a part is not supported.
    """
    if value is None and is_history:
        return ""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise validation_error("should be a string or a list of parts")
    return (_EARLIER_PARTS if is_history else _PARTS).validate_python(value)


def _parse_output(value: Any) -> Any:
    """Return the output of a tool; what is no text, and no file, as its JSON."""
    if value is None:
        return ""
    if not isinstance(value, list):
        return to_result_text(value)
    return _PARTS.validate_python([_to_output_part(part) for part in value])


def _to_output_part(part: Any) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    if is_content(kind, _MODELS):
        return part
    return {"type": "input_text", "text": to_result_text(part)}


_PARTS = TypeAdapter(list[Annotated[Part, PlainValidator(_parse_part)]])
_EARLIER_PARTS = TypeAdapter(list[Annotated[Part, PlainValidator(_parse_earlier_part)]])
Content = str | list[Part]
ToolOutput = Annotated[Content, PlainValidator(_parse_output, json_schema_input_type=Content)]


def to_chat_content(content: Content) -> str | list[dict[str, Any]]:
    """Return `content` in the form of a chat message."""
    if isinstance(content, str):
        return content
    return [part.to_chat() for part in content if not isinstance(part, OtherPart)]


def find_other_parts(content: Content) -> list[str]:
    """Return the paths, inside a message, of the parts that are left out."""
    return [
        mark_part(f"content[{place}]", part.type)
        for place, part in enumerate(content)
        if isinstance(part, OtherPart)
    ]


def to_listed_content(content: Content, role: str) -> list[dict[str, Any]]:
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
    if isinstance(part, OtherPart):
        return part.model_dump()
    return {"type": "refusal", "refusal": part.refusal}
