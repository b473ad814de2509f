"""``output_config.task_budget`` of a Messages body, as the budget of a turn.

Anthropic's field has no id: the requests of a task belong together as each repeats the calls of the
ones before it. So the ids of our tool calls contain the task that they were made in. What a task
has used is not known here.
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from server.api.anthropic.blocks import ToolResultBlock, ToolUseBlock
from server.api.anthropic.turns import TurnMessage
from server.api.body import StrictModel
from server.api.fields.turn import MAX_BUDGET, TurnOptions
from server.errors.api import BadRequestError
from server.quotas.turns.request import BUDGET_FIELD, TurnRequest

TOTAL = "output_config.task_budget.total"
REMAINING = "output_config.task_budget.remaining"
_TASK_OF_CALL = re.compile(r"^toolu_t([0-9a-f]{16})_")


class TaskBudget(StrictModel):
    """``output_config.task_budget``: tokens for a whole task, over all of its requests."""

    type: Literal["tokens"]
    total: int = Field(ge=1, le=MAX_BUDGET)
    remaining: int | None = Field(
        None, ge=0, le=MAX_BUDGET, description="What is left of it. Null: see docs/turns.md."
    )


def to_turn(
    options: TurnOptions | None, budget: TaskBudget | None, messages: Sequence[TurnMessage]
) -> TurnRequest | None:
    """Return the turn of a request; None: it has none.

    Raises:
        BadRequestError: the turn has no budget, or two that disagree.
    """
    if budget is None:
        return None if options is None else options.to_request()
    remaining = budget.total if budget.remaining is None else budget.remaining
    if remaining > budget.total:
        raise BadRequestError(
            f"{REMAINING} ({remaining}) should be at most {TOTAL} ({budget.total})",
            param=REMAINING,
            code="contradictory_fields",
        )
    turn = TurnRequest(
        _find_task(messages) or secrets.token_hex(8),
        budget.total,
        TOTAL,
        used_before=budget.total - remaining,
        ceiling=budget.remaining,
        is_task=True,
    )
    return turn if options is None else _with_id(turn, options)


def mark_call(call_id: str, turn: TurnRequest | None) -> str:
    """Return a call's id in Anthropic's form, with the task that it was made in."""
    task = f"t{turn.turn_id}_" if turn is not None and turn.is_task else ""
    return f"toolu_{task}{call_id.removeprefix('call_')}"


def _with_id(turn: TurnRequest, options: TurnOptions) -> TurnRequest:
    """Return the turn with the client's own id, whose budget is of hidden tokens only."""
    if options.budget is not None and options.budget != turn.budget:
        raise BadRequestError(
            f"{BUDGET_FIELD} {options.budget} contradicts {TOTAL} {turn.budget}; send one of them",
            param=BUDGET_FIELD,
            code="contradictory_fields",
        )
    return replace(turn, turn_id=options.id, is_task=False)


def _find_task(messages: Sequence[TurnMessage]) -> str | None:
    """Return the task that the calls after the last message of a person were made in.

    None: there are none, so the request begins a task.
    """
    for message in reversed(messages):
        if message.role == "user" and not any(
            isinstance(block, ToolResultBlock) for block in message.content
        ):
            return None
        for block in message.content:
            found = _TASK_OF_CALL.match(block.id) if isinstance(block, ToolUseBlock) else None
            if found is not None:
                return found[1]
    return None
