"""Content blocks that clients of Anthropic's API send, each validated by the model of its `type`.

A block of an unsupported type is refused with an error that names the type. Does not know whether
a block may appear where it is, nor whether a thought was sealed by this server: ``conversation``
checks both.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator
from pydantic_core import PydanticCustomError

from server.api.body import StrictModel
from server.api.fields.only_values import OnlyValues, to_enum_schema

CacheControl = Annotated[
    dict[str, Any] | None,
    Field(description="Accepted, without effect: prompt prefixes are always cached."),
]
_REFUSED = {
    "document": "send the document's text in a text block",
    "search_result": "send the result's text in a text block",
    "container_upload": "this server has no containers",
    "server_tool_use": "this server runs no tools of its own",
    "tool_reference": "this server has no tool search: send the tools in 'tools'",
}


def validation_error(text: str) -> PydanticCustomError:
    """Return the error for a value; `text` follows the field's name in the message."""
    return PydanticCustomError("messages_api", "{text}", {"text": text})


class TextBlock(StrictModel):
    """Text block."""

    type: Literal["text"]
    text: str
    cache_control: CacheControl = None
    citations: Annotated[Any, OnlyValues([]), to_enum_schema([])] = None


class Base64Source(StrictModel):
    """Source of an image that is part of the request."""

    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


def _check_base64(source: Any) -> Any:
    kind = source.get("type") if isinstance(source, dict) else None
    if kind == "url":
        raise validation_error("this server fetches no URLs; send the image as base64")
    if kind == "file":
        raise validation_error("this server stores no files; send the image as base64")
    return source


class ImageBlock(StrictModel):
    """Image block."""

    type: Literal["image"]
    source: Annotated[Base64Source, BeforeValidator(_check_base64)]
    cache_control: CacheControl = None


class ThinkingBlock(StrictModel):
    """Earlier thought, as it was sent to the client."""

    type: Literal["thinking"]
    thinking: str
    signature: str
    cache_control: CacheControl = None


class RedactedThinkingBlock(StrictModel):
    """Earlier thought that the client could not read."""

    type: Literal["redacted_thinking"]
    data: str
    cache_control: CacheControl = None


class ToolUseBlock(StrictModel):
    """Earlier call of one of the client's tools."""

    type: Literal["tool_use"]
    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    input: dict[str, Any]
    cache_control: CacheControl = None
    caller: dict[str, Any] | None = Field(None, description="Accepted, without effect.")


def read_block(value: Any) -> StrictModel:
    """Return `value` as a block of its `type`; errors name the field inside it.

    Raises:
        PydanticCustomError, ValidationError: the value is no block, or an invalid one.
    """
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind in _MODELS:
        return _MODELS[kind].model_validate(value)
    if isinstance(kind, str) and (why := _REFUSED.get(kind)):
        raise validation_error(f"{kind} blocks are not supported: {why}")
    raise validation_error(f'each block should be {{"type": …}} with one of {", ".join(_MODELS)}')


def to_blocks(content: Any) -> Any:
    """Return `content`, with a string as one text block."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def read_result_part(value: Any) -> StrictModel:
    """Return `value` as a block of a tool's result.

    Raises:
        PydanticCustomError, ValidationError: see :func:`read_block`; also for other types of block.
    """
    block = read_block(value)
    if not isinstance(block, TextBlock | ImageBlock):
        raise validation_error("a tool's result should have text or image blocks")
    return block


_ResultPart = TextBlock | ImageBlock
_ResultContent = Annotated[
    list[Annotated[_ResultPart, PlainValidator(read_result_part, _ResultPart)]],
    BeforeValidator(to_blocks, str | list[_ResultPart]),
]


class ToolResultBlock(StrictModel):
    """Result of a tool."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: _ResultContent | None = None
    is_error: bool | None = None
    cache_control: CacheControl = None


Block = (
    TextBlock | ImageBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock | ToolResultBlock
)
_MODELS: dict[str, type[StrictModel]] = {
    "text": TextBlock,
    "image": ImageBlock,
    "thinking": ThinkingBlock,
    "redacted_thinking": RedactedThinkingBlock,
    "tool_use": ToolUseBlock,
    "tool_result": ToolResultBlock,
}
Content = Annotated[
    list[Annotated[Block, PlainValidator(read_block, Block)]],
    BeforeValidator(to_blocks, str | list[Block]),
]


def _read_text_block(value: Any) -> StrictModel:
    block = read_block(value)
    if not isinstance(block, TextBlock):
        raise validation_error("system should be a string or text blocks")
    return block


SystemContent = Annotated[
    list[Annotated[TextBlock, PlainValidator(_read_text_block, TextBlock)]],
    BeforeValidator(to_blocks, str | list[TextBlock]),
]
