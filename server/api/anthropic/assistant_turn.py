"""Reads an assistant's turn: its texts, thoughts and calls, and what another server's tools gave.

Thoughts that this server cannot open are left out and named, as are blocks that it does not know.
Does not know the other turns.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from server.api.anthropic.blocks import (
    Block,
    OtherBlock,
    RedactedThinkingBlock,
    ServerToolResultBlock,
    ServerToolUseBlock,
    ThinkingBlock,
    ToolUseBlock,
)
from server.api.anthropic.documents import TextBlock
from server.api.foreign_kinds import mark_part
from server.choice.delta import THOUGHT_BREAK
from server.errors.api import BadRequestError
from server.keys.sealed_thoughts import SealError, ThoughtSeal

ChatMessage = dict[str, Any]
# Of a result: what only Anthropic's servers can read, or what says nothing to a model.
_UNREADABLE = ("type", "encrypted_content", "encrypted_index", "encrypted_stdout", "cache_control")
# Anthropic's own words, which its clients know.
_INVALID_SIGNATURE = "Invalid `signature` in `thinking` block"


class AssistantTurn:
    """Blocks of one turn. `call_ids` are the client's calls, once the turn was read."""

    def __init__(
        self, blocks: Sequence[Block], seal: ThoughtSeal, note: Callable[[str], None]
    ) -> None:
        self.call_ids: set[str] = set()
        self._blocks = blocks
        self._seal = seal
        self._note = note
        self._paired = _find_paired(blocks)
        self._text = ""
        self._thoughts: list[str] = []
        self._calls: list[dict[str, Any]] = []

    def read(self, places: Sequence[str]) -> Iterator[ChatMessage]:
        """Yield the turn's messages: a result of a server's tool is one, and splits the others."""
        num_messages = 0
        for block, place in zip(self._blocks, places, strict=True):
            if isinstance(block, ServerToolResultBlock) and block.tool_use_id in self._paired:
                if not self._is_empty:
                    yield self._take_message()
                yield _to_result(block)
                num_messages += 1
            else:
                self._add(block, place)
        if not self._is_empty or not num_messages:
            yield self._take_message()

    def _add(self, block: Block, place: str) -> None:
        match block:
            case TextBlock():
                self._text += block.text
            case ThinkingBlock():
                self._add_thought(self._open_thought(block, place), place)
            case RedactedThinkingBlock():
                self._add_thought(self._open_seal(block.data), place)
            case ToolUseBlock():
                self.call_ids.add(block.id)
                self._calls.append(_to_tool_call(block))
            case ServerToolUseBlock() if block.id in self._paired:
                self._calls.append(_to_tool_call(block))
            case OtherBlock():
                self._note(mark_part(place, block.type))
            case _:
                self._note(place)

    def _add_thought(self, thought: str | None, place: str) -> None:
        if thought is None:
            self._note(place)
        else:
            self._thoughts.append(thought)

    def _open_thought(self, block: ThinkingBlock, place: str) -> str | None:
        thought = self._open_seal(block.signature)
        if thought is not None and block.thinking and block.thinking != thought:
            param = f"{place}.signature"
            raise BadRequestError(
                f"{param}: {_INVALID_SIGNATURE}: it does not match this 'thinking', which was "
                "changed",
                param=param,
                code="invalid_value",
            )
        return thought

    def _open_seal(self, sealed: str | None) -> str | None:
        """Return the thought; None: another server made it, or a key that is not here."""
        try:
            return None if sealed is None else self._seal.open(sealed)
        except SealError:
            return None

    @property
    def _is_empty(self) -> bool:
        return not (self._text or self._thoughts or self._calls)

    def _take_message(self) -> ChatMessage:
        message: ChatMessage = {"role": "assistant", "content": self._text}
        if self._thoughts:
            message["reasoning_content"] = THOUGHT_BREAK.join(self._thoughts)
        if self._calls:
            message["tool_calls"] = self._calls
        self._text, self._thoughts, self._calls = "", [], []
        return message


def _find_paired(blocks: Sequence[Block]) -> set[str]:
    """Return the ids of the calls of a server's tools that have a result in the same turn."""
    called: set[str] = set()
    paired: set[str] = set()
    for block in blocks:
        if isinstance(block, ServerToolUseBlock):
            called.add(block.id)
        elif isinstance(block, ServerToolResultBlock) and block.tool_use_id in called:
            paired.add(block.tool_use_id)
    return paired


def _to_result(block: ServerToolResultBlock) -> ChatMessage:
    text = to_result_text(block.content)
    return {
        "role": "tool",
        "tool_call_id": block.tool_use_id,
        "content": f"Error: {text}" if block.is_error else text,
    }


def _to_tool_call(block: ToolUseBlock | ServerToolUseBlock) -> dict[str, Any]:
    function = {"name": block.name, "arguments": json.dumps(block.input, ensure_ascii=False)}
    return {"id": block.id, "type": "function", "function": function}


def to_result_text(content: Any) -> str:
    """Return what a model can read of a result: its texts, else its JSON."""
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else [content]
    texts = [
        block["text"]
        for block in blocks
        if isinstance(block, Mapping) and isinstance(block.get("text"), str)
    ]
    if texts and len(texts) == len(blocks):
        return "\n".join(texts)
    return json.dumps(_without_unreadable(content), ensure_ascii=False)


def _without_unreadable(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_unreadable(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {key: _without_unreadable(item) for key, item in value.items() if key not in _UNREADABLE}
