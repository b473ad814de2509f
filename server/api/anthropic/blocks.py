"""Content blocks that clients of Anthropic's API send, read by their `type`.

Whether a block may stand where it does, and whether a thought was sealed here, is for
``conversation``. What this server does not read is refused by name.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator
from pydantic_core import PydanticCustomError

from server.api.body import StrictModel
from server.api.fields.only_values import OnlyValues, to_enum_schema

CacheControl = Annotated[
    dict[str, Any] | None,
    Field(description="Taken, and changes nothing: prefixes of prompts are always cached."),
]
_REFUSED = {
    "document": "documents are not read here: send their text in a text block",
    "search_result": "search results are not read here: send their text in a text block",
    "container_upload": "there are no containers here",
    "server_tool_use": "this server runs no tools of its own",
    "tool_reference": "tools are not searched for here: send them in tools",
}


def validation_error(text: str) -> PydanticCustomError:
    """What is wrong with a value, in words that follow its field's name."""
    return PydanticCustomError("messages_api", "{text}", {"text": text})


class TextBlock(StrictModel):
    """Text."""

    type: Literal["text"]
    text: str
    cache_control: CacheControl = None
    citations: Annotated[Any, OnlyValues([]), to_enum_schema([])] = None


class Base64Source(StrictModel):
    """An image in the request itself."""

    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


def _check_base64(source: Any) -> Any:
    kind = source.get("type") if isinstance(source, dict) else None
    if kind == "url":
        raise validation_error(
            "no address is ever fetched by this server; send the image as base64"
        )
    if kind == "file":
        raise validation_error("this server stores no files; send the image as base64")
    return source


class ImageBlock(StrictModel):
    """An image."""

    type: Literal["image"]
    source: Annotated[Base64Source, BeforeValidator(_check_base64)]
    cache_control: CacheControl = None


class ThinkingBlock(StrictModel):
    """An earlier thought, as it was given to the client."""

    type: Literal["thinking"]
    thinking: str
    signature: str
    cache_control: CacheControl = None


class RedactedThinkingBlock(StrictModel):
    """An earlier thought that the client could not read."""

    type: Literal["redacted_thinking"]
    data: str
    cache_control: CacheControl = None


class ToolUseBlock(StrictModel):
    """An earlier call of one of the client's tools."""

    type: Literal["tool_use"]
    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    input: dict[str, Any]
    cache_control: CacheControl = None
    caller: dict[str, Any] | None = Field(None, description="Taken, and changes nothing.")


def read_block(value: Any) -> StrictModel:
    """The block that `value` is; faults are named by their place in it.

    Raises:
        PydanticCustomError, ValidationError: it is none, or not a right one.
    """
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind in _MODELS:
        return _MODELS[kind].model_validate(value)
    if isinstance(kind, str) and (why := _REFUSED.get(kind)):
        raise validation_error(f"{kind} blocks are not supported: {why}")
    raise validation_error(f'each block should be {{"type": …}} with one of {", ".join(_MODELS)}')


def to_blocks(content: Any) -> Any:
    """A string stands for one text block."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def read_result_part(value: Any) -> StrictModel:
    """A block of a tool's result."""
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
    """What a tool answered."""

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
