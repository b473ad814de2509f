"""From the turns of a Messages body to a conversation in OpenAI's form, for the template.

Checks what no block can know alone: whether it may stand in a turn of that role, whether a
result answers a call that there was, whether a thought is one that this server sealed.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from server.anthropic.blocks import (
    Block,
    ImageBlock,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from server.anthropic.protocol import CountTokensRequest, TurnMessage
from server.choice import THOUGHT_BREAK
from server.errors import BadRequestError
from server.reply.prompting import Conversation
from server.sealed_thoughts import SealError, ThoughtSeal

_KINDS: dict[str, tuple[type[Block], ...]] = {
    "user": (TextBlock, ImageBlock, ToolResultBlock),
    "assistant": (TextBlock, ThinkingBlock, RedactedThinkingBlock, ToolUseBlock),
    "system": (TextBlock,),
}
ChatMessage = dict[str, Any]


def conversation_of(body: CountTokensRequest, seal: ThoughtSeal) -> Conversation:
    """The conversation that `body` sends.

    Raises:
        BadRequestError: a block that may not stand where it does, or is not ours.
    """
    if body.messages[-1].role == "assistant":
        raise _wrong(
            f"messages[{len(body.messages) - 1}].role",
            "the last message should not be the assistant's: an answer that has begun "
            "(prefill) cannot be gone on with",
        )
    reader = _TurnReader(seal)
    messages: list[ChatMessage] = []
    if body.system:
        messages.append({"role": "system", "content": _lines(body.system)})
    for place, turn in enumerate(body.messages):
        for message in reader.read(turn, f"messages[{place}]"):
            _append(messages, message)
    return Conversation(messages)


def _append(messages: list[ChatMessage], message: ChatMessage) -> None:
    """Turns of the user's in a row are one turn: many templates take no others."""
    if message["role"] == "user" and messages and messages[-1]["role"] == "user":
        messages[-1]["content"] += "\n" + message["content"]
    else:
        messages.append(message)


class _TurnReader:
    """Reads turns in their order: a result may only answer an earlier call."""

    def __init__(self, seal: ThoughtSeal) -> None:
        self._seal = seal
        self._call_ids: set[str] = set()

    def read(self, message: TurnMessage, field: str) -> list[ChatMessage]:
        """One turn may become several messages: each result of a tool is its own."""
        places = [f"{field}.content[{place}]" for place in range(len(message.content))]
        for block, place in zip(message.content, places, strict=True):
            _check_stands_right(block, message.role, place)
        if message.role == "assistant":
            return [self._assistant(message.content, places)]
        results = list(self._results(message.content, places))
        texts = [block for block in message.content if isinstance(block, TextBlock)]
        if results and not texts:
            return results
        return [*results, {"role": message.role, "content": _lines(texts)}]

    def _assistant(self, blocks: Sequence[Block], places: Sequence[str]) -> ChatMessage:
        text, thoughts, calls = "", [], []
        for block, place in zip(blocks, places, strict=True):
            match block:
                case TextBlock():
                    text += block.text
                case ThinkingBlock():
                    thoughts.append(self._thought(block, place))
                case RedactedThinkingBlock():
                    thoughts.append(self._opened(block.data, f"{place}.data"))
                case ToolUseBlock():
                    self._call_ids.add(block.id)
                    calls.append(_call(block))
        message: ChatMessage = {"role": "assistant", "content": text}
        if thoughts:
            message["reasoning_content"] = THOUGHT_BREAK.join(thoughts)
        if calls:
            message["tool_calls"] = calls
        return message

    def _thought(self, block: ThinkingBlock, place: str) -> str:
        thought = self._opened(block.signature, f"{place}.signature")
        if block.thinking and block.thinking != thought:
            raise _wrong(
                f"{place}.signature", "does not belong to this 'thinking', which was changed"
            )
        return thought

    def _opened(self, sealed: str, place: str) -> str:
        try:
            return self._seal.open(sealed)
        except SealError as error:
            raise _wrong(place, str(error)) from None

    def _results(self, blocks: Sequence[Block], places: Sequence[str]) -> Iterator[ChatMessage]:
        for block, place in zip(blocks, places, strict=True):
            if not isinstance(block, ToolResultBlock):
                continue
            if block.tool_use_id not in self._call_ids:
                raise _wrong(
                    f"{place}.tool_use_id", "should be the id of a tool_use block before it"
                )
            text = _lines(_texts(block.content or (), f"{place}.content"))
            yield {
                "role": "tool",
                "tool_call_id": block.tool_use_id,
                "content": f"Error: {text}" if block.is_error else text,
            }


def _check_stands_right(block: Block, role: str, place: str) -> None:
    if not isinstance(block, _KINDS[role]):
        raise _wrong(place, f"{block.type} blocks do not belong into messages of role {role!r}")
    if isinstance(block, ImageBlock):
        raise _wrong(place, "images are not supported: the model here reads text only")


def _texts(blocks: Sequence[TextBlock | ImageBlock], field: str) -> Iterator[TextBlock]:
    for place, block in enumerate(blocks):
        if isinstance(block, ImageBlock):
            problem = "images are not supported: the model here reads text only"
            raise _wrong(f"{field}[{place}]", problem)
        yield block


def _lines(blocks: Sequence[TextBlock] | Iterator[TextBlock]) -> str:
    return "\n".join(block.text for block in blocks)


def _call(block: ToolUseBlock) -> dict[str, Any]:
    function = {"name": block.name, "arguments": json.dumps(block.input, ensure_ascii=False)}
    return {"id": block.id, "type": "function", "function": function}


def _wrong(param: str, problem: str) -> BadRequestError:
    return BadRequestError(f"{param}: {problem}", param=param, code="invalid_value")
