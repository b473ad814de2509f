"""Converts the turns of a Messages body to a conversation in OpenAI's form, for the template.

Checks what depends on more than one block: whether a block may appear in a turn of its role,
whether a result belongs to an earlier call, and whether a thought was sealed by this server. Does
not render the template.
"""

from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from server.api.anthropic.assistant_turn import AssistantTurn, to_result_text
from server.api.anthropic.blocks import (
    Block,
    CompactionBlock,
    OtherBlock,
    RedactedThinkingBlock,
    ServerToolResultBlock,
    ServerToolUseBlock,
    ThinkingBlock,
    ToolChangeBlock,
    ToolReferenceBlock,
    ToolResultBlock,
    ToolUseBlock,
    get_refusal,
)
from server.api.anthropic.documents import (
    DocumentBlock,
    ImageBlock,
    SearchResultBlock,
    TextBlock,
)
from server.api.anthropic.protocol import CountTokensRequest
from server.api.anthropic.task_budget import TaskBudget
from server.api.anthropic.turns import TurnMessage
from server.errors.api import BadRequestError
from server.keys.sealed_thoughts import ThoughtSeal
from server.prompt.conversation import Conversation
from server.prompt.images import MAX_IMAGE_BYTES, MAX_IMAGES
from server.prompt.messages import IMAGE_PART

_KINDS: dict[str, tuple[type[Block], ...]] = {
    "user": (
        *(TextBlock, ImageBlock, DocumentBlock, SearchResultBlock, ToolResultBlock),
        CompactionBlock,
    ),
    "assistant": (
        *(TextBlock, ThinkingBlock, RedactedThinkingBlock, ToolUseBlock, ServerToolUseBlock),
        *(ServerToolResultBlock, CompactionBlock, OtherBlock),
    ),
    "system": (TextBlock, ToolChangeBlock),
}
# Anthropic's own words, which its clients know, then ours.
_PREFILL = (
    "This model does not support assistant message prefill. The conversation must end with a user "
    "message: an answer cannot be continued, as the thought comes before it"
)
_UNEXPECTED_RESULT = (
    "unexpected `tool_use_id` found in `tool_result` blocks. Each `tool_result` block must have a "
    "corresponding `tool_use` block in the previous message: it should be the id of one before it"
)
ChatMessage = dict[str, Any]
Content = str | list[dict[str, Any]]
Shown = TextBlock | ImageBlock
Note = Callable[[str], None]


def to_conversation(body: CountTokensRequest, seal: ThoughtSeal, note: Note) -> Conversation:
    """Return the conversation in `body`; `note` gets the path of each block that is left out.

    Raises:
        BadRequestError: a block may not appear where it is, or a sealed thought was changed.
    """
    if body.messages[-1].role == "assistant":
        raise _invalid_value_error(f"messages[{len(body.messages) - 1}].role", _PREFILL)
    reader = _TurnReader(seal, note)
    head = [_join_lines(body.system)] if body.system else []
    config = body.output_config
    if config is not None and config.task_budget is not None:
        head.append(_describe_budget(config.task_budget))
    messages: list[ChatMessage] = []
    for place, turn in _iterate_turns(body.messages):
        for message in reader.read(turn, f"messages[{place}]"):
            _append(messages, message)
    if head:
        messages.insert(0, {"role": "system", "content": "\n".join(head)})
    return Conversation(messages)


def _describe_budget(budget: TaskBudget) -> str:
    left = budget.total if budget.remaining is None else budget.remaining
    return f"The token budget of this task is {budget.total}; {left} tokens of it are left."


def _iterate_turns(turns: Sequence[TurnMessage]) -> Iterator[tuple[int, TurnMessage]]:
    """Yield the turns that the model reads, each with its place.

    What a summary replaces is gone, and so are system turns that are for one turn only.
    """
    last_user = max((i for i, turn in enumerate(turns) if turn.role == "user"), default=-1)
    first = max((i for i, turn in enumerate(turns) if _has_summary(turn)), default=0)
    for place, turn in enumerate(turns):
        is_over = turn.clear_at == "next_user_message" and place < last_user
        if place >= first and not is_over:
            yield place, turn


def _has_summary(turn: TurnMessage) -> bool:
    return any(isinstance(block, CompactionBlock) and block.content for block in turn.content)


def _cut_at_summary(
    blocks: Sequence[tuple[Block, str]],
) -> tuple[str | None, Sequence[tuple[Block, str]]]:
    """Return the last summary in a turn, if any, and the blocks after it."""
    for number, (block, _) in reversed(list(enumerate(blocks))):
        if isinstance(block, CompactionBlock) and block.content:
            return block.content, blocks[number + 1 :]
    return None, blocks


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

    def __init__(self, seal: ThoughtSeal, note: Note) -> None:
        self._seal = seal
        self._note = note
        self._call_ids: set[str] = set()
        self._num_images = 0

    def read(self, message: TurnMessage, field: str) -> Iterator[ChatMessage]:
        """Yield the messages of a turn: each tool result is a message, and so is the rest."""
        places = [f"{field}.content[{place}]" for place in range(len(message.content))]
        blocks: Sequence[tuple[Block, str]] = list(zip(message.content, places, strict=True))
        for block, place in blocks:
            _check_role(block, message.role, place)
        summary, blocks = _cut_at_summary(blocks)
        if summary is not None:
            yield {"role": "user", "content": summary}
            if not blocks:
                return
        if message.role == "assistant":
            turn = AssistantTurn([block for block, _ in blocks], self._seal, self._note)
            yield from turn.read([place for _, place in blocks])
            self._call_ids |= turn.call_ids
            return
        yield from self._read_written(message.role, blocks)

    def _read_written(
        self, role: str, blocks: Sequence[tuple[Block, str]]
    ) -> Iterator[ChatMessage]:
        """Yield the messages of a turn that the client wrote."""
        results = list(self._read_results(blocks))
        shown = list(self._read_shown(blocks))
        yield from results
        has_changes_only = role == "system" and blocks and not shown
        if shown or not (results or has_changes_only):
            yield {"role": role, "content": _to_content(shown)}

    def _read_shown(self, blocks: Sequence[tuple[Block, str]]) -> Iterator[Shown]:
        """Yield texts and images; also results' images: templates know images of the user only."""
        for block, place in blocks:
            if isinstance(block, ToolResultBlock):
                for number, part in enumerate(block.content or ()):
                    for shown in self._read_parts(part, f"{place}.content[{number}]"):
                        if isinstance(shown, ImageBlock):
                            yield shown
            else:
                yield from self._read_parts(block, place)

    def _read_parts(self, block: Any, place: str) -> Iterator[Shown]:
        """Yield the texts and images of a block that has some."""
        parts: Sequence[Shown] = ()
        if isinstance(block, TextBlock | ImageBlock):
            parts = [block]
        elif isinstance(block, DocumentBlock | SearchResultBlock):
            parts = block.parts
            if (block.citations or {}).get("enabled"):
                self._note(f"{place}.citations")
        for part in parts:
            if isinstance(part, ImageBlock):
                self._check_image(part, place)
            yield part

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

    def _read_results(self, blocks: Sequence[tuple[Block, str]]) -> Iterator[ChatMessage]:
        for block, place in blocks:
            if not isinstance(block, ToolResultBlock):
                continue
            if block.tool_use_id not in self._call_ids:
                raise _invalid_value_error(f"{place}.tool_use_id", _UNEXPECTED_RESULT)
            texts = [to_text for part in block.content or () for to_text in _to_texts(part)]
            text = "\n".join(texts)
            yield {
                "role": "tool",
                "tool_call_id": block.tool_use_id,
                "content": f"Error: {text}" if block.is_error else text,
            }


def _to_texts(part: Any) -> list[str]:
    """Return the texts of a part of a tool's result."""
    match part:
        case TextBlock():
            return [part.text]
        case DocumentBlock() | SearchResultBlock():
            return [inner.text for inner in part.parts if isinstance(inner, TextBlock)]
        case ToolReferenceBlock():
            return [f"Loaded tool: {part.tool_name}"]
        case OtherBlock():
            return [to_result_text(part.model_dump())]
        case _:
            return []


def _check_role(block: Block, role: str, place: str) -> None:
    if isinstance(block, _KINDS[role]):
        return
    if isinstance(block, OtherBlock):
        raise _invalid_value_error(place, get_refusal(block))
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


def _invalid_value_error(param: str, problem: str) -> BadRequestError:
    return BadRequestError(f"{param}: {problem}", param=param, code="invalid_value")
