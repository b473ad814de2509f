"""Content blocks that clients of Anthropic's API send, each validated by the model of its `type`.

A block of an unsupported type is refused if the reply would be wrong without it. Does not know
whether a block may appear where it is, nor whether a thought was sealed by this server:
``conversation`` checks both.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator

from server.api.anthropic.documents import (
    DocumentBlock,
    ImageBlock,
    SearchResultBlock,
    TextBlock,
    to_blocks,
)
from server.api.anthropic.fields import CacheControl, Unused, to_object, validation_error
from server.api.body import StrictModel

_REFUSED = {"container_upload": "this server has no containers; send the file's text"}
_RESULT_SUFFIX = "_tool_result"  # of the results of tools that another server ran


class ThinkingBlock(StrictModel):
    """Earlier thought, as it was sent to the client. It may be that of another server."""

    type: Literal["thinking"]
    thinking: str | None = None
    signature: str | None = None
    cache_control: CacheControl = None


class RedactedThinkingBlock(StrictModel):
    """Earlier thought that the client could not read."""

    type: Literal["redacted_thinking"]
    data: str | None = None
    cache_control: CacheControl = None


class ToolUseBlock(StrictModel):
    """Earlier call of one of the client's tools. `input` may be an object's JSON text."""

    type: Literal["tool_use"]
    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    input: Annotated[dict[str, Any], BeforeValidator(to_object, dict[str, Any] | str | None)]
    cache_control: CacheControl = None
    caller: Unused = None
    toolset_name: Unused = None


class ServerToolUseBlock(StrictModel):
    """Earlier call of a tool that another server ran."""

    type: Literal["server_tool_use", "mcp_tool_use"]
    id: str
    name: str
    input: Annotated[dict[str, Any], BeforeValidator(to_object, dict[str, Any] | str | None)]
    server_name: Unused = None
    cache_control: CacheControl = None
    caller: Unused = None


class ServerToolResultBlock(StrictModel):
    """Result of such a call; its type is ``web_search_tool_result``, ``mcp_tool_result`` …"""

    type: str = Field(pattern=f"^.+{_RESULT_SUFFIX}$")
    tool_use_id: str
    content: Any = None
    is_error: bool | None = None
    cache_control: CacheControl = None
    caller: Unused = None


class CompactionBlock(StrictModel):
    """Summary that replaces everything before it; without `content`, of no effect."""

    type: Literal["compaction"]
    content: str | None = None
    encrypted_content: Unused = None
    signature: Unused = None
    tool_changes: list[dict[str, Any]] | None = None
    cache_control: CacheControl = None


class ToolChangeBlock(StrictModel):
    """Addition or removal of a tool inside the conversation; ``tool_loading`` reads `tool`."""

    type: Literal["tool_addition", "tool_removal"]
    tool: dict[str, Any]
    cache_control: CacheControl = None


class ToolReferenceBlock(StrictModel):
    """Tool that a search found: it is offered to the model from now on."""

    type: Literal["tool_reference"]
    tool_name: str
    cache_control: CacheControl = None


class OtherBlock(StrictModel):
    """Block of a type that this server does not know."""

    model_config = ConfigDict(extra="allow")

    type: str


def read_block(value: Any) -> StrictModel:
    """Return `value` as a block of its `type`; errors name the field inside it.

    Raises:
        PydanticCustomError, ValidationError: the value is no block, or an invalid one.
    """
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        raise validation_error(
            f'each block should be {{"type": …}} with one of {", ".join(_MODELS)}'
        )
    if kind in _MODELS:
        return _MODELS[kind].model_validate(value)
    if kind.endswith(_RESULT_SUFFIX):
        return ServerToolResultBlock.model_validate(value)
    return OtherBlock.model_validate(value)


def get_refusal(block: StrictModel) -> str:
    """Return why `block` cannot be left out of a turn that this server has to answer."""
    kind = getattr(block, "type", "")
    if why := _REFUSED.get(kind):
        return f"{kind} blocks are not supported: {why}"
    return f"blocks of this type are not supported; there are {', '.join(_MODELS)}"


def read_result_part(value: Any) -> StrictModel:
    """Return `value` as a block of a tool's result.

    Raises:
        PydanticCustomError, ValidationError: see :func:`read_block`; also for other types of block.
    """
    block = read_block(value)
    if not isinstance(block, _ResultPart):
        raise validation_error("a tool's result should have text, image or document blocks")
    return block


def _to_result_blocks(content: Any) -> Any:
    """Return the result of a tool as blocks; what is no block is shown as its JSON."""
    if content is None or isinstance(content, str | list):
        return to_blocks(content)
    if isinstance(content, dict) and content.get("type") in _MODELS:
        return [content]
    return to_blocks(json.dumps(content, ensure_ascii=False))


_ResultPart = (
    TextBlock | ImageBlock | DocumentBlock | SearchResultBlock | ToolReferenceBlock | OtherBlock
)
_ResultContent = Annotated[
    list[Annotated[_ResultPart, PlainValidator(read_result_part, _ResultPart)]],
    BeforeValidator(_to_result_blocks, Any),
]


class ToolResultBlock(StrictModel):
    """Result of a tool."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: _ResultContent | None = None
    is_error: bool | None = None
    cache_control: CacheControl = None
    toolset_name: Unused = None


Block = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
    | ServerToolUseBlock
    | ServerToolResultBlock
    | CompactionBlock
    | ToolChangeBlock
    | OtherBlock
)
_MODELS: dict[str, type[StrictModel]] = {
    "text": TextBlock,
    "image": ImageBlock,
    "document": DocumentBlock,
    "search_result": SearchResultBlock,
    "thinking": ThinkingBlock,
    "redacted_thinking": RedactedThinkingBlock,
    "tool_use": ToolUseBlock,
    "tool_result": ToolResultBlock,
    "server_tool_use": ServerToolUseBlock,
    "mcp_tool_use": ServerToolUseBlock,
    "compaction": CompactionBlock,
    "tool_addition": ToolChangeBlock,
    "tool_removal": ToolChangeBlock,
    "tool_reference": ToolReferenceBlock,
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
