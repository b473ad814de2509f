"""Names for what a fused kernel reads and holds: tensors, and one request's state and plan.

The columns that ``thinking.sampler.row_state`` lays out, and the functions that move a row
between memory and registers. Does not know how the state changes.
"""

from typing import Any, NamedTuple

import triton
import triton.language as tl

from thinking.plan import MAX_SCRIPT_TOKENS
from thinking.sampler.row_state import Field, Level

# A kernel may use global names only if they are of this type.
_NUM_FIELDS = tl.constexpr(len(Field))
_NUM_LEVELS = tl.constexpr(len(Level))
_SCRIPT = tl.constexpr(MAX_SCRIPT_TOKENS)

_PHASE = tl.constexpr(int(Field.PHASE))
_CURSOR = tl.constexpr(int(Field.CURSOR))
_NUM_HIDDEN = tl.constexpr(int(Field.NUM_HIDDEN))
_NUM_ANSWER = tl.constexpr(int(Field.NUM_ANSWER))
_NUM_SINCE = tl.constexpr(int(Field.NUM_SINCE))
_LIMIT = tl.constexpr(int(Field.LIMIT))
_NUM_SEGMENTS_LEFT = tl.constexpr(int(Field.NUM_SEGMENTS_LEFT))
_IN_SEGMENT = tl.constexpr(int(Field.IN_SEGMENT))
_START_MATCH = tl.constexpr(int(Field.START_MATCH))
_END_MATCH = tl.constexpr(int(Field.END_MATCH))
_ANSWER_BEGINS = tl.constexpr(int(Field.ANSWER_BEGINS))
_AT_BOUNDARY = tl.constexpr(int(Field.AT_BOUNDARY))
_BUDGET = tl.constexpr(int(Field.BUDGET))
_GRACE = tl.constexpr(int(Field.GRACE))
_MIN_TOKENS = tl.constexpr(int(Field.MIN_TOKENS))
_MIN_TOKENS_BEFORE_CALL = tl.constexpr(int(Field.MIN_TOKENS_BEFORE_CALL))
_HAS_EXIT = tl.constexpr(int(Field.HAS_EXIT))
_CLOSE_AT = tl.constexpr(int(Field.CLOSE_AT))
_END_AT = tl.constexpr(int(Field.END_AT))
_LEAD_AT = tl.constexpr(int(Field.LEAD_AT))
_CLOSE_END = tl.constexpr(int(Field.CLOSE_END))
_SEGMENT_AT = tl.constexpr(int(Field.SEGMENT_AT))
_SCRIPT_END = tl.constexpr(int(Field.SCRIPT_END))
_MAX_TOKENS = tl.constexpr(int(Field.MAX_TOKENS))
_GATE_MODE = tl.constexpr(int(Field.GATE_MODE))
_GAP = tl.constexpr(int(Field.GAP))
_INTERVAL = tl.constexpr(int(Field.INTERVAL))
_SEGMENT_TOKENS = tl.constexpr(int(Field.SEGMENT_TOKENS))
_SEGMENT_GRACE = tl.constexpr(int(Field.SEGMENT_GRACE))
_KEPT_ROW = tl.constexpr(int(Field.KEPT_ROW))


class Slots(NamedTuple):
    """Tensors of the automaton with one row per slot; see ``ThinkingAutomaton``.

    `num_seen` (int32 ``[slots]``) is the number of output tokens that a slot's state has seen;
    -1: its request has no plan.
    """

    state: Any
    levels: Any
    scripts: Any
    history: Any
    runs: Any
    needed: Any
    tails: Any
    strings: Any
    num_seen: Any


class Model(NamedTuple):
    """Tables and token ids that all requests share; see ``AutomatonTables``.

    `watched_classes` (int32 ``[num_watched]``) are the bits of each watched token's meaning.
    """

    symbols: Any
    classes: Any
    start_table: Any
    end_table: Any
    watched: Any
    watched_classes: Any
    token_bytes: Any
    token_lengths: Any
    num_watched: int
    num_symbols: int
    start_length: int
    end_length: int
    end_first: int
    eos_stand_in: int
    exit_stand_in: int
    signal: int
    vocab_size: int


class Tokens(NamedTuple):
    """The engine's record of each slot's accepted tokens.

    `ids` is int32 ``[slots, row_stride]``: prompt, then output; `prompt_lengths` and `lengths`
    (of both) are int32 ``[slots]``.
    """

    ids: Any
    prompt_lengths: Any
    lengths: Any


class State(NamedTuple):
    """``TrackerState`` of one request; int32 each."""

    phase: Any
    cursor: Any
    num_hidden: Any
    num_answer: Any
    num_since: Any
    limit: Any
    num_segments_left: Any
    in_segment: Any
    start_match: Any
    end_match: Any
    answer_begins: Any
    at_boundary: Any


class Plan(NamedTuple):
    """The fields of one request's plan; int32 each."""

    budget: Any
    grace: Any
    min_tokens: Any
    min_tokens_before_call: Any
    has_exit: Any
    close_at: Any
    end_at: Any
    lead_at: Any
    close_end: Any
    segment_at: Any
    script_end: Any
    max_tokens: Any
    gate_mode: Any
    gap: Any
    interval: Any
    segment_tokens: Any
    segment_grace: Any
    kept_row: Any


@triton.jit
def load_state(slots, slot):
    """Return the slot's :class:`State`."""
    row = slots.state + slot * _NUM_FIELDS
    return State(
        phase=tl.load(row + _PHASE),
        cursor=tl.load(row + _CURSOR),
        num_hidden=tl.load(row + _NUM_HIDDEN),
        num_answer=tl.load(row + _NUM_ANSWER),
        num_since=tl.load(row + _NUM_SINCE),
        limit=tl.load(row + _LIMIT),
        num_segments_left=tl.load(row + _NUM_SEGMENTS_LEFT),
        in_segment=tl.load(row + _IN_SEGMENT),
        start_match=tl.load(row + _START_MATCH),
        end_match=tl.load(row + _END_MATCH),
        answer_begins=tl.load(row + _ANSWER_BEGINS),
        at_boundary=tl.load(row + _AT_BOUNDARY),
    )


@triton.jit
def store_state(slots, slot, now):
    """Store a :class:`State` in the slot."""
    row = slots.state + slot * _NUM_FIELDS
    tl.store(row + _PHASE, now.phase)
    tl.store(row + _CURSOR, now.cursor)
    tl.store(row + _NUM_HIDDEN, now.num_hidden)
    tl.store(row + _NUM_ANSWER, now.num_answer)
    tl.store(row + _NUM_SINCE, now.num_since)
    tl.store(row + _LIMIT, now.limit)
    tl.store(row + _NUM_SEGMENTS_LEFT, now.num_segments_left)
    tl.store(row + _IN_SEGMENT, now.in_segment)
    tl.store(row + _START_MATCH, now.start_match)
    tl.store(row + _END_MATCH, now.end_match)
    tl.store(row + _ANSWER_BEGINS, now.answer_begins)
    tl.store(row + _AT_BOUNDARY, now.at_boundary)


@triton.jit
def load_plan(slots, slot):
    """Return the slot's :class:`Plan`."""
    row = slots.state + slot * _NUM_FIELDS
    return Plan(
        budget=tl.load(row + _BUDGET),
        grace=tl.load(row + _GRACE),
        min_tokens=tl.load(row + _MIN_TOKENS),
        min_tokens_before_call=tl.load(row + _MIN_TOKENS_BEFORE_CALL),
        has_exit=tl.load(row + _HAS_EXIT),
        close_at=tl.load(row + _CLOSE_AT),
        end_at=tl.load(row + _END_AT),
        lead_at=tl.load(row + _LEAD_AT),
        close_end=tl.load(row + _CLOSE_END),
        segment_at=tl.load(row + _SEGMENT_AT),
        script_end=tl.load(row + _SCRIPT_END),
        max_tokens=tl.load(row + _MAX_TOKENS),
        gate_mode=tl.load(row + _GATE_MODE),
        gap=tl.load(row + _GAP),
        interval=tl.load(row + _INTERVAL),
        segment_tokens=tl.load(row + _SEGMENT_TOKENS),
        segment_grace=tl.load(row + _SEGMENT_GRACE),
        kept_row=tl.load(row + _KEPT_ROW),
    )


@triton.jit
def load_kept_row(slots, slot):
    """Return the place of the slot's kept logits; 0: its request does not mix."""
    return tl.load(slots.state + slot * _NUM_FIELDS + _KEPT_ROW)


@triton.jit
def load_level(slots, slot, level: tl.constexpr):
    """Return one of the slot's thresholds and weights (float32)."""
    return tl.load(slots.levels + slot * _NUM_LEVELS + level)


@triton.jit
def load_script_token(slots, slot, cursor):
    """Return the forced token at `cursor`; any token where nothing is forced."""
    return tl.load(slots.scripts + slot * _SCRIPT + tl.minimum(cursor, _SCRIPT - 1))
