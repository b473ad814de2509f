"""The laws that every measured reply is checked against.

Knows token ids, usage and receipts; not how they were measured.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from thinking.plan import ThinkingPlan
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables


class LawError(Exception):
    """Result that breaks a law; a figure beside it is worth nothing."""


class StreamedReply(Protocol):
    """The part of a streamed reply that has laws."""

    usage: dict[str, Any]
    receipts: list[dict[str, Any]]
    finish_reasons: list[str]
    has_reasoning_text: bool


def check_outputs(
    tables: TrackerTables, plan: ThinkingPlan, outputs: Sequence[Sequence[int]]
) -> None:
    """Replay each output's token ids under its plan.

    Raises:
        LawError: a forced token did not come, a thought exceeded its budget or did not end.
    """
    for output in outputs:
        tracker = ThinkingTracker(tables, plan)
        for place, token_id in enumerate(output):
            forced = tracker.forced_token_id
            require(forced in (None, token_id), f"{token_id} at {place}, where {forced} is forced")
            tracker.advance(token_id)
        require(tracker.num_hidden <= plan.budget, f"{tracker.num_hidden} hidden of {plan.budget}")
        has_ended = len(output) <= plan.budget or not tracker.is_hidden
        require(has_ended, f"a thought after {len(output)} tokens, of {plan.budget}")


def check_reply(reply: StreamedReply, *, budget: int, max_tokens: int, is_shown: bool) -> None:
    """Check a reply of our server.

    Raises:
        LawError: a law does not hold; the message says which.
    """
    usage = reply.usage
    thought = usage["completion_tokens_details"]["reasoning_tokens"]
    written = usage["completion_tokens"]
    require(thought <= budget, f"{thought} thought tokens, of {budget}")
    require(written <= max_tokens, f"{written} completion tokens, of {max_tokens}")
    require(written > thought, f"no answer: {thought} of {written} tokens are thought")
    total = usage["prompt_tokens"] + written
    require(usage["total_tokens"] == total, f"total_tokens {usage['total_tokens']}, not {total}")
    require(len(reply.receipts) == 1, f"{len(reply.receipts)} receipts")
    receipt = reply.receipts[0]
    require(receipt["used"] == thought, f"receipt: used {receipt['used']}, usage: {thought}")
    require(receipt["budget"] <= budget, f"receipt: budget {receipt['budget']}, of {budget}")
    require(len(reply.finish_reasons) == 1, f"finish reasons {reply.finish_reasons}")
    require(is_shown or not reply.has_reasoning_text, "a hidden thought was streamed")


def require(holds: bool, otherwise: str) -> None:
    """Raise LawError with the message `otherwise` unless `holds`."""
    if not holds:
        raise LawError(otherwise)
