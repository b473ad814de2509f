"""Parts of a message's content: texts, and images if the model reads them.

In a message of the assistant, parts of all other kinds are accepted too: they are history. Tools
may have given anything, which is shown as its JSON. Does not know which images a model reads.
"""

import json
from collections.abc import Container, Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, PlainValidator, TypeAdapter
from pydantic_core import PydanticCustomError

from server.api.body import StrictModel
from server.api.openai.earlier_thoughts import THOUGHT_PARTS, read_thought
from server.prompt.messages import IMAGE_PART

TEXT_PARTS = ("text", "input_text", "output_text")
# Types of parts, of any API, whose content is no text.
FILE_PARTS = frozenset(
    {
        *("audio", "document", "file", "image", "input_audio", "input_file", "input_image"),
        *("input_video", "media", "video", "video_url"),
    }
)
CONTENT_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"enum": ["text", IMAGE_PART]},
                    "text": {"type": "string"},
                    "image_url": {
                        "type": "object",
                        "properties": {"url": {"type": "string"}, "detail": {"type": "string"}},
                        "required": ["url"],
                    },
                },
                "required": ["type"],
            },
        },
        {"type": "null"},
    ]
}


class Part(StrictModel):
    """Part of a content. The fields that its subclasses declare are shown to the model."""

    type: str
    # Ignored, as it does not affect the replies of this server.
    cache_control: Any = None

    def to_prompt(self) -> dict[str, Any]:
        """Return the part in the form of :mod:`server.prompt.messages`."""
        return self.model_dump(exclude={"cache_control", "annotations"}, exclude_none=True)


class TextPart(Part):
    """Text."""

    type: Literal["text", "input_text", "output_text"]
    text: str
    annotations: Any = None  # of an earlier reply; not used


class RefusalPart(Part):
    """Refusal in an earlier reply."""

    type: Literal["refusal"]
    refusal: str


class ImageUrl(StrictModel):
    """``image_url``."""

    url: str
    # Not used: the model's processor chooses the resolution.
    detail: str | None = None


class ImagePart(Part):
    """Image."""

    type: Literal["image_url"]
    image_url: ImageUrl


class HistoryPart(Part):
    """Part of an earlier reply that is not shown as content: a thought, or of an unknown kind."""

    model_config = ConfigDict(extra="allow")

    @property
    def is_used(self) -> bool:
        """True if the part holds a thought that can be read."""
        return self.type in THOUGHT_PARTS and bool(read_thought(self.model_dump()))


AnyPart = TextPart | RefusalPart | ImagePart | HistoryPart
_CLASSES: dict[str, type[AnyPart]] = {
    **dict.fromkeys(TEXT_PARTS, TextPart),
    "refusal": RefusalPart,
    IMAGE_PART: ImagePart,
}


def parse_content(content: Any, role: str | None) -> str | list[AnyPart] | None:
    """Return `content` with its parts validated.

    Args:
        content: a text, a list of parts, or None; the result of a tool may be any JSON.
        role: of the message. The assistant's may have parts of any kind.

    Raises:
        PydanticCustomError, ValidationError: a part is invalid or not supported.
    """
    if content is None or isinstance(content, str):
        return content
    is_result = role in ("tool", "function")
    if not isinstance(content, list):
        if is_result:
            return to_result_text(content)
        raise content_error("should be a string or a list of parts")
    parts = [_to_part(part, is_result=is_result) for part in content]
    for part in parts:
        _check_form(part, is_history=role == "assistant")
    return _PARTS.validate_python(parts)


def to_result_text(result: Any) -> str:
    """Return the result of a tool as the model reads it: its JSON, but for a text."""
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)


def _to_part(part: Any, *, is_result: bool) -> Any:
    """Return a part in OpenAI's form. Fields that are null say nothing."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        return part
    kind = part.get("type")
    if kind is None and isinstance(part.get("text"), str):
        kind = "text"
    if is_result and not is_content(kind, _CLASSES):
        return {"type": "text", "text": to_result_text(part)}
    return {"type": kind} | {name: value for name, value in part.items() if value is not None}


def is_content(kind: Any, classes: Container[str]) -> bool:
    """Return whether `kind` is the type of a part: one of `classes`, or of a file.

    In a tool's result, anything else is JSON of the tool's own, whose `type` may be any value.
    """
    return isinstance(kind, str) and (kind in classes or kind in FILE_PARTS)


def to_prompt_content(content: str | Sequence[AnyPart] | None) -> Any:
    """Return the content that the prompt has; None if nothing of it is shown as content."""
    if content is None or isinstance(content, str):
        return content
    return [part.to_prompt() for part in content if not isinstance(part, HistoryPart)] or None


def get_history_parts(content: str | Sequence[AnyPart] | None) -> list[tuple[int, HistoryPart]]:
    """Return the parts that are not shown as content, with their places."""
    parts = content if isinstance(content, list) else []
    return [(place, part) for place, part in enumerate(parts) if isinstance(part, HistoryPart)]


def _parse_part(part: dict[str, Any]) -> AnyPart:
    return _CLASSES.get(part["type"], HistoryPart).model_validate(part)


_PARTS = TypeAdapter(list[Annotated[AnyPart, PlainValidator(_parse_part)]])


def _check_form(part: Any, *, is_history: bool) -> None:
    """Check what the errors of pydantic would describe less well."""
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise content_error('each part should be {"type": "text", "text": "…"}')
    if part["type"] == IMAGE_PART:
        _check_image(part.get("image_url"))
    elif part["type"] in TEXT_PARTS and not isinstance(part.get("text"), str):
        raise content_error('a text part should be {"type": "text", "text": "…"}')
    elif part["type"] not in _CLASSES and not is_history:
        raise content_error("only text and image_url parts are supported: no audio, no files")


def _check_image(image: Any) -> None:
    if not isinstance(image, dict) or not isinstance(image.get("url"), str):
        form = '{"type": "image_url", "image_url": {"url": "data:…"}}'
        raise content_error(f"an image part should be {form}")
    if image.get("detail") not in (None, "auto", "low", "high", "original"):
        raise content_error(
            "image_url should have 'url', and may have 'detail': auto, low, high or original"
        )


def content_error(text: str) -> PydanticCustomError:
    """Return the error for a content; `text` follows the field's name in the message."""
    return PydanticCustomError("message", "{text}", {"text": text})
