"""What a fused kernel holds of one request: its state, its plan and its loop guard.

Names for the columns that ``thinking.sampler.row_state`` lays out, and the functions that move a
row between memory and registers. Does not know how the state changes.
"""

from typing import Any, NamedTuple

import triton
import triton.language as tl

from thinking.gate import MAX_GATE_STRING_BYTES
from thinking.loop_guard import MAX_PERIOD
from thinking.plan import MAX_SCRIPT_TOKENS
from thinking.sampler.loop_tensors import NEVER, NO_TOKEN
from thinking.sampler.row_state import Field, Level

# A kernel may use global names only if they are of this type.
_NUM_FIELDS = tl.constexpr(len(Field))
_NUM_LEVELS = tl.constexpr(len(Level))
_PERIODS = tl.constexpr(MAX_PERIOD)
_WIDTH = tl.constexpr(MAX_GATE_STRING_BYTES)
_SCRIPT = tl.constexpr(MAX_SCRIPT_TOKENS)
_NO_TOKEN = tl.constexpr(NO_TOKEN)
_LONGEST_RUN = tl.constexpr(int(NEVER) - 2)

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


class Loop(NamedTuple):
    """The loop guard of one request: int32 ``[MAX_PERIOD]`` each, by period."""

    history: Any
    runs: Any
    needed: Any


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


@triton.jit
def load_loop(slots, slot):
    """Return the slot's :class:`Loop`."""
    row = slot * _PERIODS + tl.arange(0, _PERIODS)
    return Loop(
        history=tl.load(slots.history + row),
        runs=tl.load(slots.runs + row).to(tl.int32),
        needed=tl.load(slots.needed + row).to(tl.int32),
    )


@triton.jit
def store_loop(slots, slot, loop):
    """Store a :class:`Loop` in the slot; its thresholds never change."""
    row = slot * _PERIODS + tl.arange(0, _PERIODS)
    tl.store(slots.history + row, loop.history)
    tl.store(slots.runs + row, loop.runs.to(tl.int16))


@triton.jit
def push_loop(loop, token):
    """Return the loop guard after one more token, and whether the thought now loops."""
    # A run stops counting long before int16 ends: a loop closes the thought.
    longer = tl.minimum(loop.runs, _LONGEST_RUN) + 1
    runs = tl.where(loop.history == token, longer, 0)
    periods = tl.arange(0, _PERIODS)
    shifted = tl.gather(loop.history, tl.maximum(periods - 1, 0), 0)
    history = tl.where(periods == 0, token, shifted)
    loops = tl.max((runs >= loop.needed).to(tl.int32), 0) != 0
    return Loop(history=history, runs=runs, needed=loop.needed), loops


@triton.jit
def keep_loop(loop, keep):
    """Return the loop guard as it is if `keep`, else without a token."""
    return Loop(
        history=tl.where(keep, loop.history, _NO_TOKEN),
        runs=tl.where(keep, loop.runs, 0),
        needed=loop.needed,
    )


@triton.jit
def load_tail(slots, slot):
    """Return the last bytes of the slot's answer, int32 ``[WIDTH]``, right-aligned."""
    return tl.load(slots.tails + slot * _WIDTH + tl.arange(0, _WIDTH)).to(tl.int32)


@triton.jit
def store_tail(slots, slot, tail):
    """Store the last bytes of the slot's answer."""
    tl.store(slots.tails + slot * _WIDTH + tl.arange(0, _WIDTH), tail.to(tl.uint8))


@triton.jit
def push_tail(tail, model, token):
    """Return the last bytes of an answer after one more token."""
    place = tl.arange(0, _WIDTH) + tl.load(model.token_lengths + token).to(tl.int32)
    old = tl.gather(tail, tl.minimum(place, _WIDTH - 1), 0)
    within = place - _WIDTH
    text = model.token_bytes + token * _WIDTH
    new = tl.load(text + tl.maximum(within, 0), mask=within >= 0, other=0)
    return tl.where(within < 0, old, new.to(tl.int32))


@triton.jit
def load_gate_strings(slots, slot, num_strings: tl.constexpr):
    """Return the bytes of the slot's gate strings, int32 ``[num_strings, WIDTH]``."""
    row = (slot * num_strings + tl.arange(0, num_strings)[:, None]) * _WIDTH
    return tl.load(slots.strings + row + tl.arange(0, _WIDTH)[None, :]).to(tl.int32)
