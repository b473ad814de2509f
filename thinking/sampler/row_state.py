"""The layout of a request's row in the state matrix, and its columns by name.

All code that reads or writes a field goes through :class:`Field`, so the order of the columns
has no meaning. Does not know how the state changes.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, auto

from thinking.plan import ThinkingPlan
from thinking.sampler.arrays import Array
from thinking.tracker_state import TrackerState


class Field(IntEnum):
    """Columns of the state matrix."""

    # Fields of TrackerState: they change with each token.
    PHASE = 0
    CURSOR = auto()
    NUM_HIDDEN = auto()
    NUM_ANSWER = auto()
    NUM_SINCE = auto()
    LIMIT = auto()
    NUM_SEGMENTS_LEFT = auto()
    IN_SEGMENT = auto()
    START_MATCH = auto()
    END_MATCH = auto()
    ANSWER_BEGINS = auto()
    AT_BOUNDARY = auto()

    # The request's plan.
    BUDGET = auto()
    GRACE = auto()
    MIN_TOKENS = auto()
    MIN_TOKENS_BEFORE_CALL = auto()
    HAS_EXIT = auto()
    CLOSE_AT = auto()
    END_AT = auto()
    LEAD_AT = auto()
    CLOSE_END = auto()
    SEGMENT_AT = auto()
    SCRIPT_END = auto()
    MAX_TOKENS = auto()
    GATE_MODE = auto()
    GAP = auto()
    INTERVAL = auto()
    SEGMENT_TOKENS = auto()
    SEGMENT_GRACE = auto()

    KEPT_ROW = auto()  # where the logits from before a segment are kept


class Level(IntEnum):
    """Columns of the float matrix: thresholds and weights of the request's plan."""

    EXIT = 0
    ENTROPY = auto()
    MIX = auto()


@dataclass(slots=True)
class RowState:
    """``TrackerState`` of n rows: one column (``[n]``) for each field that changes.

    Loaded columns are views; a step replaces them and never writes into them.
    """

    phase: Array
    cursor: Array
    num_hidden: Array
    num_answer: Array
    num_since: Array
    limit: Array
    num_segments_left: Array
    in_segment: Array
    start_match: Array
    end_match: Array
    answer_begins: Array
    at_boundary: Array

    @classmethod
    def load(cls, columns: Array) -> "RowState":
        """Return the state held by `columns`, int32 ``[len(Field), n]``."""
        return cls(
            phase=columns[Field.PHASE],
            cursor=columns[Field.CURSOR],
            num_hidden=columns[Field.NUM_HIDDEN],
            num_answer=columns[Field.NUM_ANSWER],
            num_since=columns[Field.NUM_SINCE],
            limit=columns[Field.LIMIT],
            num_segments_left=columns[Field.NUM_SEGMENTS_LEFT],
            in_segment=columns[Field.IN_SEGMENT],
            start_match=columns[Field.START_MATCH],
            end_match=columns[Field.END_MATCH],
            answer_begins=columns[Field.ANSWER_BEGINS],
            at_boundary=columns[Field.AT_BOUNDARY],
        )

    def store(self, columns: Array) -> None:
        """Write the state to `columns`, int32 ``[len(Field), n]``."""
        columns[Field.PHASE] = self.phase
        columns[Field.CURSOR] = self.cursor
        columns[Field.NUM_HIDDEN] = self.num_hidden
        columns[Field.NUM_ANSWER] = self.num_answer
        columns[Field.NUM_SINCE] = self.num_since
        columns[Field.LIMIT] = self.limit
        columns[Field.NUM_SEGMENTS_LEFT] = self.num_segments_left
        columns[Field.IN_SEGMENT] = self.in_segment
        columns[Field.START_MATCH] = self.start_match
        columns[Field.END_MATCH] = self.end_match
        columns[Field.ANSWER_BEGINS] = self.answer_begins
        columns[Field.AT_BOUNDARY] = self.at_boundary


def make_row(*parts: Mapping[Field, int]) -> list[int]:
    """Return one row of the state matrix from the values of its fields.

    Each field must be in exactly one of `parts`.
    """
    given = Counter(field for part in parts for field in part)
    missing = set(Field) - set(given)
    repeated = [field for field, count in given.items() if count > 1]
    assert not missing, f"missing: {missing}"
    assert not repeated, f"repeated: {repeated}"
    values = {field: value for part in parts for field, value in part.items()}
    return [int(values[field]) for field in sorted(Field)]


def read_state_values(state: TrackerState) -> dict[Field, int]:
    """Return the values of the fields that change with each token."""
    return {
        Field.PHASE: state.phase,
        Field.CURSOR: state.cursor,
        Field.NUM_HIDDEN: state.num_hidden,
        Field.NUM_ANSWER: state.num_answer,
        Field.NUM_SINCE: state.num_since,
        Field.LIMIT: state.limit,
        Field.NUM_SEGMENTS_LEFT: state.num_segments_left,
        Field.IN_SEGMENT: state.in_segment,
        Field.START_MATCH: state.start_match,
        Field.END_MATCH: state.end_match,
        Field.ANSWER_BEGINS: state.answer_begins,
        Field.AT_BOUNDARY: state.at_boundary,
    }


def read_plan_values(plan: ThinkingPlan) -> dict[Field, int]:
    """Return the values of the fields that hold the request's plan."""
    segments = plan.segments
    return {
        Field.BUDGET: plan.budget,
        Field.GRACE: plan.grace_tokens,
        Field.MIN_TOKENS: plan.min_tokens,
        Field.MIN_TOKENS_BEFORE_CALL: plan.min_tokens_before_call,
        Field.HAS_EXIT: plan.early_exit is not None,
        Field.CLOSE_AT: plan.close_at,
        Field.END_AT: plan.end_at,
        Field.LEAD_AT: plan.lead_at,
        Field.CLOSE_END: plan.close_end,
        Field.SEGMENT_AT: plan.segment_at,
        Field.SCRIPT_END: len(plan.script),
        Field.MAX_TOKENS: plan.max_tokens,
        Field.GATE_MODE: segments.mode if segments else 0,
        Field.GAP: segments.gap if segments else 0,
        Field.INTERVAL: segments.interval if segments else 0,
        Field.SEGMENT_TOKENS: segments.segment_tokens if segments else 0,
        Field.SEGMENT_GRACE: segments.grace_tokens if segments else 0,
    }
