"""Converts the turns of a Messages body to a conversation in OpenAI's form, for the template.

Checks what depends on more than one block: whether a block may appear in a turn of its role,
whether a result belongs to an earlier call, and whether a thought was sealed by this server. Does
not render the template.
"""

import json
from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import Any

from server.api.anthropic.blocks import (
    Block,
    ImageBlock,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from server.api.anthropic.protocol import CountTokensRequest, TurnMessage
from server.choice.delta import THOUGHT_BREAK
from server.errors.api import BadRequestError
from server.keys.sealed_thoughts import SealError, ThoughtSeal
from server.prompt.conversation import Conversation
from server.prompt.images import MAX_IMAGE_BYTES, MAX_IMAGES
from server.prompt.messages import IMAGE_PART

_KINDS: dict[str, tuple[type[Block], ...]] = {
    "user": (TextBlock, ImageBlock, ToolResultBlock),
    "assistant": (TextBlock, ThinkingBlock, RedactedThinkingBlock, ToolUseBlock),
    "system": (TextBlock,),
}
ChatMessage = dict[str, Any]
Content = str | list[dict[str, Any]]
Shown = TextBlock | ImageBlock


def to_conversation(body: CountTokensRequest, seal: ThoughtSeal) -> Conversation:
    """Return the conversation in `body`.

    Raises:
        BadRequestError: a block may not appear where it is, or a thought was not sealed here.
    """
    if body.messages[-1].role == "assistant":
        raise _invalid_value_error(
            f"messages[{len(body.messages) - 1}].role",
            "the last message should not be the assistant's: an answer cannot be continued "
            "(prefill is not supported)",
        )
    reader = _TurnReader(seal)
    messages: list[ChatMessage] = []
    if body.system:
        messages.append({"role": "system", "content": _join_lines(body.system)})
    for place, turn in enumerate(body.messages):
        for message in reader.read(turn, f"messages[{place}]"):
            _append(messages, message)
    return Conversation(messages)


def _append(messages: list[ChatMessage], message: ChatMessage) -> None:
    """Append a message; merge consecutive user messages, as many templates require."""
    last = messages[-1] if messages else message
    if last is not message and last["role"] == message["role"] == "user":
        last["content"] = _join(last["content"], message["content"])
    else:
        messages.append(message)


def _join(first: Content, second: Content) -> Content:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n{second}"
    return [*_to_parts(first), *_to_parts(second)]


def _to_parts(content: Content) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


class _TurnReader:
    """Reads turns in order: a result may only belong to an earlier call."""

    def __init__(self, seal: ThoughtSeal) -> None:
        self._seal = seal
        self._call_ids: set[str] = set()
        self._num_images = 0

    def read(self, message: TurnMessage, field: str) -> list[ChatMessage]:
        """Return the messages of a turn: each tool result is a message, and so is the rest."""
        places = [f"{field}.content[{place}]" for place in range(len(message.content))]
        for block, place in zip(message.content, places, strict=True):
            _check_role(block, message.role, place)
        if message.role == "assistant":
            return [self._read_assistant(message.content, places)]
        results = list(self._read_results(message.content, places))
        shown = list(self._read_shown(message.content, places))
        if results and not shown:
            return results
        return [*results, {"role": message.role, "content": _to_content(shown)}]

    def _read_shown(self, blocks: Sequence[Block], places: Sequence[str]) -> Iterator[Shown]:
        """Yield texts and images; also results' images: templates know images of the user only."""
        for block, place in zip(blocks, places, strict=True):
            if isinstance(block, ToolResultBlock):
                for number, part in enumerate(block.content or ()):
                    if isinstance(part, ImageBlock):
                        self._check_image(part, f"{place}.content[{number}]")
                        yield part
            elif isinstance(block, ImageBlock):
                self._check_image(block, place)
                yield block
            elif isinstance(block, TextBlock):
                yield block

    def _check_image(self, image: ImageBlock, place: str) -> None:
        """Raise BadRequestError if an image is invalid; here, its path in the body is known."""
        self._num_images += 1
        if self._num_images > MAX_IMAGES:
            raise _invalid_value_error(place, f"a request may have at most {MAX_IMAGES} images")
        if len(image.source.data) > MAX_IMAGE_BYTES * 4 // 3 + 4:
            raise _invalid_value_error(
                f"{place}.source.data", f"an image may have at most {MAX_IMAGE_BYTES} bytes"
            )
        try:
            b64decode(image.source.data, validate=True)
        except ValueError:
            raise _invalid_value_error(f"{place}.source.data", "is not valid base64") from None

    def _read_assistant(self, blocks: Sequence[Block], places: Sequence[str]) -> ChatMessage:
        text, thoughts, calls = "", [], []
        for block, place in zip(blocks, places, strict=True):
            match block:
                case TextBlock():
                    text += block.text
                case ThinkingBlock():
                    thoughts.append(self._open_thought(block, place))
                case RedactedThinkingBlock():
                    thoughts.append(self._open_seal(block.data, f"{place}.data"))
                case ToolUseBlock():
                    self._call_ids.add(block.id)
                    calls.append(_to_tool_call(block))
        message: ChatMessage = {"role": "assistant", "content": text}
        if thoughts:
            message["reasoning_content"] = THOUGHT_BREAK.join(thoughts)
        if calls:
            message["tool_calls"] = calls
        return message

    def _open_thought(self, block: ThinkingBlock, place: str) -> str:
        thought = self._open_seal(block.signature, f"{place}.signature")
        if block.thinking and block.thinking != thought:
            raise _invalid_value_error(
                f"{place}.signature", "does not match this 'thinking', which was changed"
            )
        return thought

    def _open_seal(self, sealed: str, place: str) -> str:
        try:
            return self._seal.open(sealed)
        except SealError as error:
            raise _invalid_value_error(place, str(error)) from None

    def _read_results(
        self, blocks: Sequence[Block], places: Sequence[str]
    ) -> Iterator[ChatMessage]:
        for block, place in zip(blocks, places, strict=True):
            if not isinstance(block, ToolResultBlock):
                continue
            if block.tool_use_id not in self._call_ids:
                raise _invalid_value_error(
                    f"{place}.tool_use_id", "should be the id of a tool_use block before it"
                )
            text = _join_lines(
                [part for part in block.content or () if isinstance(part, TextBlock)]
            )
            yield {
                "role": "tool",
                "tool_call_id": block.tool_use_id,
                "content": f"Error: {text}" if block.is_error else text,
            }


def _check_role(block: Block, role: str, place: str) -> None:
    if not isinstance(block, _KINDS[role]):
        raise _invalid_value_error(
            place, f"{block.type} blocks do not belong in messages of role {role!r}"
        )


def _to_content(shown: Sequence[Shown]) -> Content:
    """Return a single text, or parts if there are images."""
    texts = [block for block in shown if isinstance(block, TextBlock)]
    return _join_lines(texts) if len(texts) == len(shown) else [_to_part(block) for block in shown]


def _to_part(block: Shown) -> dict[str, Any]:
    if isinstance(block, TextBlock):
        return {"type": "text", "text": block.text}
    url = f"data:{block.source.media_type};base64,{block.source.data}"
    return {"type": IMAGE_PART, "image_url": {"url": url}}


def _join_lines(blocks: Sequence[TextBlock]) -> str:
    return "\n".join(block.text for block in blocks)


def _to_tool_call(block: ToolUseBlock) -> dict[str, Any]:
    function = {"name": block.name, "arguments": json.dumps(block.input, ensure_ascii=False)}
    return {"id": block.id, "type": "function", "function": function}


def _invalid_value_error(param: str, problem: str) -> BadRequestError:
    return BadRequestError(f"{param}: {problem}", param=param, code="invalid_value")
