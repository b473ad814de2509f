"""``context_management``: edits that make a conversation shorter before the model reads it.

Clears earlier thoughts and the results of earlier tool calls, as Anthropic's API does. Summaries
(``compact_…``) are not written here. Does not count tokens: the caller passes a function.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeGuard

from pydantic import ConfigDict, Field, PlainValidator

from server.api.anthropic.blocks import (
    Block,
    RedactedThinkingBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from server.api.anthropic.documents import TextBlock
from server.api.anthropic.fields import validation_error
from server.api.anthropic.turns import TurnMessage
from server.api.body import StrictModel

MAX_EDITS = 16  # of a request: after each, its tokens may have to be counted
# Anthropic's defaults.
DEFAULT_TRIGGER_TOKENS = 100_000
DEFAULT_KEPT_TOOL_USES = 3
DEFAULT_KEPT_TURNS = 1
CLEARED = "[cleared to save context]"

Turns = Sequence[TurnMessage]
CountTokens = Callable[[Turns], Awaitable[int]]
Note = Callable[[str], None]


class Amount(StrictModel):
    """Number of tokens, of tool uses, or of turns."""

    type: Literal["input_tokens", "tool_uses", "thinking_turns"]
    value: int = Field(ge=0)


class All(StrictModel):
    """``{"type": "all"}``."""

    type: Literal["all"]


def _read_keep(value: Any) -> Any:
    if value is None or value == "all":
        return value
    is_all = isinstance(value, dict) and value.get("type") == "all"
    return (All if is_all else Amount).model_validate(value)


_Keep = Amount | All | Literal["all"] | None


class ClearThinking(StrictModel):
    """Edit that clears the thoughts of all but the last turns."""

    type: str
    keep: Annotated[_Keep, PlainValidator(_read_keep, _Keep)] = None

    @property
    def num_kept(self) -> int | None:
        """Number of turns whose thoughts are kept; None: all."""
        if self.keep is None:
            return DEFAULT_KEPT_TURNS
        return self.keep.value if isinstance(self.keep, Amount) else None


class ClearToolUses(StrictModel):
    """Edit that clears the results of all but the last tool calls, once there are many."""

    type: str
    trigger: Amount | None = None
    keep: Amount | None = None
    clear_at_least: Amount | None = None
    exclude_tools: list[str] | None = None
    clear_tool_inputs: bool | list[str] | None = Field(
        None, description="Whether the input of the calls is cleared too, or of which tools."
    )

    def clears_input(self, name: str) -> bool:
        """Return whether the input of a call of tool `name` is cleared with its result."""
        which = self.clear_tool_inputs
        return name in which if isinstance(which, list) else bool(which)


class OtherEdit(StrictModel):
    """Edit that this server does not carry out."""

    model_config = ConfigDict(extra="allow")

    type: str


Edit = ClearThinking | ClearToolUses | OtherEdit


def _read_edit(value: Any) -> Edit:
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        raise validation_error('each edit should be {"type": …}')
    if kind.startswith("clear_thinking_"):
        return ClearThinking.model_validate(value)
    if kind.startswith("clear_tool_uses_"):
        return ClearToolUses.model_validate(value)
    return OtherEdit.model_validate(value)


_Edits = Annotated[
    list[Annotated[Edit, PlainValidator(_read_edit, Edit)]], Field(max_length=MAX_EDITS)
]


class ContextManagement(StrictModel):
    """``context_management``: what is cleared from the conversation before the model reads it."""

    edits: _Edits | None = None


@dataclass(frozen=True, slots=True)
class EditedTurns:
    """Turns after the edits, and what each edit did, as the response shows it."""

    turns: Turns
    applied: list[dict[str, Any]]


async def apply_edits(
    edits: Sequence[Edit], turns: Turns, count_tokens: CountTokens, note: Note
) -> EditedTurns:
    """Return `turns` after `edits`. `note` gets the path of each edit that is not carried out.

    Tokens are counted only where an edit depends on them or cleared something.
    """
    applied: list[dict[str, Any]] = []
    for place, edit in enumerate(edits):
        if isinstance(edit, OtherEdit):
            note(f"context_management.edits[{place}]")
            continue
        if isinstance(edit, ClearThinking):
            shorter, num_cleared, what = *clear_thinking(turns, edit.num_kept), "thinking_turns"
        else:
            shorter, num_cleared, what = *clear_tool_uses(turns, edit), "tool_uses"
        if not num_cleared:
            continue
        before = await count_tokens(turns)
        if isinstance(edit, ClearToolUses) and not _is_triggered(edit, turns, before):
            continue
        num_tokens = max(0, before - await count_tokens(shorter))
        if isinstance(edit, ClearToolUses) and num_tokens < _get_least(edit):
            continue
        turns = shorter
        applied.append(
            {
                "type": edit.type,
                f"cleared_{what}": num_cleared,
                "cleared_input_tokens": num_tokens,
            }
        )
    return EditedTurns(turns, applied)


def _is_triggered(edit: ClearToolUses, turns: Turns, num_tokens: int) -> bool:
    trigger = edit.trigger
    if trigger is None:
        return num_tokens > DEFAULT_TRIGGER_TOKENS
    if trigger.type == "tool_uses":
        return len(_list_calls(turns)) > trigger.value
    return num_tokens > trigger.value


def _get_least(edit: ClearToolUses) -> int:
    """Return how many tokens have to be cleared; a result may be shorter than its replacement."""
    return 1 if edit.clear_at_least is None else max(1, edit.clear_at_least.value)


def clear_thinking(turns: Turns, num_kept: int | None) -> tuple[Turns, int]:
    """Return `turns` with the thoughts of the last `num_kept` turns that have some (None: of all).

    Also returns the number of turns whose thoughts were cleared. An assistant's turn goes on
    through its tool calls: only other words of the user begin another one.
    """
    if num_kept is None:
        return turns, 0
    numbers: list[int] = []  # for each message, the turn that it belongs to
    number = 0
    for message in turns:
        number += message.role == "user" and not _has_results_only(message)
        numbers.append(number)
    thinking = sorted(
        {number for number, turn in zip(numbers, turns, strict=True) if _has_thought(turn)}
    )
    cleared = set(thinking[: max(0, len(thinking) - num_kept)])
    shorter = [
        _without_thoughts(turn) if number in cleared else turn
        for number, turn in zip(numbers, turns, strict=True)
    ]
    return shorter, len(cleared)


def clear_tool_uses(turns: Turns, edit: ClearToolUses) -> tuple[Turns, int]:
    """Return `turns` without the results of earlier calls, and the number of these calls."""
    num_kept = DEFAULT_KEPT_TOOL_USES if edit.keep is None else edit.keep.value
    calls = _list_calls(turns)
    old = calls[: max(0, len(calls) - num_kept)]
    answered = {
        block.tool_use_id
        for turn in turns
        for block in turn.content
        if isinstance(block, ToolResultBlock) and not _is_cleared(block)
    }
    names = {
        call.id: call.name
        for call in old
        if call.id in answered and call.name not in (edit.exclude_tools or ())
    }
    if not names:
        return turns, 0
    return [_with_cleared(turn, names, edit) for turn in turns], len(names)


def _with_cleared(turn: TurnMessage, names: dict[str, str], edit: ClearToolUses) -> TurnMessage:
    content: list[Block] = []
    for block in turn.content:
        if isinstance(block, ToolResultBlock) and block.tool_use_id in names:
            text = TextBlock(type="text", text=CLEARED)
            content.append(block.model_copy(update={"content": [text]}))
        elif _is_call_of(block, names) and edit.clears_input(names[block.id]):
            content.append(block.model_copy(update={"input": {}}))
        else:
            content.append(block)
    return turn.model_copy(update={"content": content})


def _is_call_of(block: StrictModel, names: dict[str, str]) -> TypeGuard[ToolUseBlock]:
    return isinstance(block, ToolUseBlock) and block.id in names


def _list_calls(turns: Turns) -> list[ToolUseBlock]:
    return [block for turn in turns for block in turn.content if isinstance(block, ToolUseBlock)]


def _is_cleared(block: ToolResultBlock) -> bool:
    parts = block.content or ()
    return any(isinstance(part, TextBlock) and part.text == CLEARED for part in parts)


def _has_results_only(turn: TurnMessage) -> bool:
    return all(isinstance(block, ToolResultBlock) for block in turn.content)


def _has_thought(turn: TurnMessage) -> bool:
    return any(_is_thought(block) for block in turn.content)


def _is_thought(block: StrictModel) -> bool:
    return isinstance(block, ThinkingBlock | RedactedThinkingBlock)


def _without_thoughts(turn: TurnMessage) -> TurnMessage:
    content = [block for block in turn.content if not _is_thought(block)]
    return turn.model_copy(update={"content": content})
