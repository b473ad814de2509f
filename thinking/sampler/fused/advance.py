"""The transition of one request with one token, in a kernel's registers.

The same machine as ``thinking.sampler.transition``, step by step in the same order, over
scalars in place of columns. A pure function: nothing is stored, so that the tokens of a draft can
be tried on a copy of the state and forgotten.
"""

from typing import Any, NamedTuple

import triton
import triton.language as tl

from thinking.phase import Phase
from thinking.sampler.fused.records import State
from thinking.sampler.tables import BOUNDARY, TOOL_CALL

_ANSWER = tl.constexpr(int(Phase.ANSWER))
_OPENING = tl.constexpr(int(Phase.OPENING))
_THINKING = tl.constexpr(int(Phase.THINKING))
_CLOSING = tl.constexpr(int(Phase.CLOSING))
_CONTINUING = tl.constexpr(int(Phase.CONTINUING))
_BOUNDARY = tl.constexpr(BOUNDARY)
_TOOL_CALL = tl.constexpr(TOOL_CALL)


class _Role(NamedTuple):
    """The role of the token for its request; booleans."""

    answering: Any
    thinking: Any
    closing: Any
    opened: Any  # the last forced token before the model thinks


class _Ends(NamedTuple):
    """The ends of thoughts with this token; booleans, and the tokens that are left (int32)."""

    natural: Any
    by_stand_in: Any
    cut: Any
    held_open: Any
    at_boundary: Any
    spare: Any


@triton.jit
def count_segment_room(now, plan):
    """Return the number of hidden tokens that still fit; one token is left for the answer."""
    rest_of_reply = plan.max_tokens - now.num_hidden - now.num_answer - 1
    return tl.minimum(plan.budget - now.num_hidden, rest_of_reply)


@triton.jit
def may_open_segment(now, plan):
    """Return whether a segment may begin with the next token, gates aside."""
    rested = (now.num_since >= plan.gap) | (now.num_hidden + now.num_answer == 0)
    cost = 2 + plan.script_end - plan.segment_at + plan.lead_at - plan.close_at
    fits = count_segment_room(now, plan) >= cost
    return (now.phase == _ANSWER) & (now.num_segments_left > 0) & rested & fits


@triton.jit
def advance(now, plan, model, token, loops):
    """Return the state after `token`; whether the loop guard goes on; and whether it was answer.

    `token` is below the vocabulary size; `loops`: the loop guard has found a loop with it.
    """
    bits = tl.load(model.classes + token).to(tl.int32)
    before = now
    now, role = _follow_script(now, plan)
    now, role = _open_segment(now, before, plan, model, token, role)
    now, role = _end_at_tool_call(now, plan, bits, role)
    now = _count_and_match(now, model, token, role)
    in_segment = now.in_segment != 0
    close_stop = tl.where(in_segment, plan.lead_at, plan.close_end)
    grace = tl.where(in_segment, plan.segment_grace, plan.grace)
    ends = _find_ends(now, plan, model, token, bits, loops, role, close_stop, grace)
    closes = ends.natural | ends.by_stand_in | ends.cut
    undisturbed = ~(closes | ends.held_open)
    now = _finish(now, plan, role, ends, closes, undisturbed, close_stop)
    return now, role.thinking & undisturbed, role.answering


@triton.jit
def _follow_script(now, plan):
    """Move past a forced token; after the last one of an opening, let the model think."""
    answering, thinking = now.phase == _ANSWER, now.phase == _THINKING
    closing = now.phase == _CLOSING
    forced = ~(answering | thinking)
    cursor = now.cursor + tl.where(forced, 1, 0)
    at_end = (cursor == plan.close_at) | (cursor == plan.segment_at) | (cursor == plan.script_end)
    opened = forced & ~closing & at_end
    phase = tl.where(opened, _THINKING, now.phase)
    role = _Role(answering=answering, thinking=thinking, closing=closing, opened=opened)
    return _replace_place(now, phase, cursor), role


@triton.jit
def _replace_place(now, phase, cursor):
    return State(
        phase=phase,
        cursor=cursor,
        num_hidden=now.num_hidden,
        num_answer=now.num_answer,
        num_since=now.num_since,
        limit=now.limit,
        num_segments_left=now.num_segments_left,
        in_segment=now.in_segment,
        start_match=now.start_match,
        end_match=now.end_match,
        answer_begins=now.answer_begins,
        at_boundary=now.at_boundary,
    )


@triton.jit
def _open_segment(now, before, plan, model, token, role):
    """Begin a segment where the token is its signal."""
    opens = may_open_segment(before, plan) & (token == model.signal)
    room = tl.minimum(count_segment_room(before, plan), plan.segment_tokens)
    begins = tl.where(plan.segment_at == plan.script_end, _THINKING, _OPENING)
    opened = State(
        phase=tl.where(opens, begins, now.phase),
        cursor=tl.where(opens, plan.segment_at, now.cursor),
        num_hidden=now.num_hidden,
        num_answer=now.num_answer,
        num_since=now.num_since,
        limit=tl.where(opens, before.num_hidden + room, now.limit),
        num_segments_left=now.num_segments_left - tl.where(opens, 1, 0),
        in_segment=tl.where(opens, 1, now.in_segment),
        start_match=now.start_match,
        end_match=now.end_match,
        answer_begins=now.answer_begins,
        at_boundary=now.at_boundary,
    )
    answering = role.answering & ~opens
    return opened, _Role(answering, role.thinking, role.closing, role.opened)


@triton.jit
def _end_at_tool_call(now, plan, bits, role):
    """Begin the answer at a tool call, if the minimum is reached; allow no more segments."""
    calls = (bits & _TOOL_CALL) != 0
    called = role.thinking & calls & (now.num_hidden >= plan.min_tokens_before_call)
    thinking, answering = role.thinking & ~called, role.answering | called
    after = State(
        phase=tl.where(called, _ANSWER, now.phase),
        cursor=tl.where(called, 0, now.cursor),
        num_hidden=now.num_hidden,
        num_answer=now.num_answer,
        num_since=now.num_since,
        limit=now.limit,
        num_segments_left=tl.where(answering & calls, 0, now.num_segments_left),
        in_segment=now.in_segment,
        start_match=now.start_match,
        end_match=now.end_match,
        answer_begins=now.answer_begins,
        at_boundary=now.at_boundary,
    )
    return after, _Role(answering, thinking, role.closing, role.opened)


@triton.jit
def _count_and_match(now, model, token, role):
    """Count the token as hidden or answer, and match the markers."""
    answering = role.answering
    symbol = tl.load(model.symbols + token)
    start = tl.load(model.start_table + now.start_match * model.num_symbols + symbol)
    end = tl.load(model.end_table + now.end_match * model.num_symbols + symbol)
    return State(
        phase=now.phase,
        cursor=now.cursor,
        num_hidden=now.num_hidden + tl.where(answering, 0, 1),
        num_answer=now.num_answer + tl.where(answering, 1, 0),
        num_since=tl.where(answering, now.num_since + 1, 0),
        limit=now.limit,
        num_segments_left=now.num_segments_left,
        in_segment=now.in_segment,
        start_match=tl.where(answering, start, 0),
        end_match=tl.where(answering | role.thinking, end, 0),
        answer_begins=now.answer_begins,
        at_boundary=now.at_boundary,
    )


@triton.jit
def _find_ends(now, plan, model, token, bits, loops, role, close_stop, grace):
    """Decide how the thought ends, in the tracker's order of precedence."""
    thinking = role.thinking
    too_soon = now.num_hidden < plan.min_tokens
    natural = thinking & (now.end_match == model.end_length)
    undecided = thinking & ~natural
    exits = undecided & (token == model.exit_stand_in) & (plan.has_exit != 0)
    wants_end = undecided & (token == model.eos_stand_in)
    by_stand_in = exits | (wants_end & ~too_soon)
    spare = now.limit - now.num_hidden - (close_stop - plan.close_at)
    free = (thinking & ~(natural | by_stand_in)) | role.opened
    exhausted = free & (spare <= 0)
    free = free & ~exhausted
    looping = free & thinking & loops
    held_open = (free & too_soon & wants_end) | (looping & too_soon)
    at_boundary = free & thinking & ((bits & _BOUNDARY) != 0)
    cut = (at_boundary & ~too_soon & (spare <= grace)) | looping
    return _Ends(
        natural=natural,
        by_stand_in=by_stand_in,
        cut=exhausted | (cut & ~held_open),
        held_open=held_open,
        at_boundary=at_boundary,
        spare=spare,
    )


@triton.jit
def _finish(now, plan, role, ends, closes, undisturbed, close_stop):
    """Move to where the script closes or continues the thought, or begin the answer."""
    # A marker that the model has begun is completed, without the wrap-up.
    begun = tl.where(now.end_match > 0, plan.end_at + now.end_match, plan.close_at)
    cursor = tl.where(ends.natural, plan.lead_at, now.cursor)
    cursor = tl.where(ends.by_stand_in, plan.close_at, cursor)
    cursor = tl.where(ends.cut, begun, cursor)
    phase = tl.where(closes, _CLOSING, now.phase)
    length = plan.segment_at - plan.close_end
    continuing = ends.held_open & (length > 0) & (length <= ends.spare)
    cursor = tl.where(continuing, plan.close_end, cursor)
    phase = tl.where(continuing, _CONTINUING, phase)
    ended = (role.closing | closes) & (cursor == close_stop)
    return State(
        phase=tl.where(ended, _ANSWER, phase),
        cursor=tl.where(ended, 0, cursor),
        num_hidden=now.num_hidden,
        num_answer=now.num_answer,
        num_since=now.num_since,
        limit=now.limit,
        num_segments_left=now.num_segments_left,
        in_segment=now.in_segment,
        start_match=now.start_match,
        end_match=tl.where(undisturbed, now.end_match, 0),
        answer_begins=tl.where(ended, 1, 0),
        at_boundary=tl.where(ends.at_boundary & undisturbed, 1, 0),
    )
