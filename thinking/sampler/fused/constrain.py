"""Decides what one row of the logits allows, and writes it to its single columns.

The same rules as ``thinking.sampler.constraints`` and ``thinking.sampler.gating``. Where a rule
needs the whole row of logits, it is left open, for the kernel that reads the vocabulary.
"""

import triton
import triton.language as tl

from thinking.gate import MAX_GATE_STRINGS, GateMode
from thinking.phase import Phase
from thinking.sampler.answer_tail import ANY
from thinking.sampler.constraints import FORCED
from thinking.sampler.fused.advance import may_open_segment
from thinking.sampler.fused.records import load_script_token
from thinking.sampler.fused.rule import Rule
from thinking.sampler.fused.tail import load_gate_strings

_ANSWER = tl.constexpr(int(Phase.ANSWER))
_THINKING = tl.constexpr(int(Phase.THINKING))
_EVERY = tl.constexpr(int(GateMode.EVERY))
_ENTROPY = tl.constexpr(int(GateMode.ENTROPY))
_AFTER = tl.constexpr(int(GateMode.AFTER))
_STRINGS = tl.constexpr(MAX_GATE_STRINGS)
_ANY = tl.constexpr(ANY)
_FORCED = tl.constexpr(FORCED)
_NEG_INF = tl.constexpr(float("-inf"))

# Bits of a watched token: what it means to a model.
STOP = 1
END = 2
START = 4
TOOL = 8
EOS = 16
EXIT = 32
SIGNAL = 64
_STOP, _END, _START, _TOOL = (tl.constexpr(bit) for bit in (STOP, END, START, TOOL))
_EOS, _EXIT, _SIGNAL = (tl.constexpr(bit) for bit in (EOS, EXIT, SIGNAL))


@triton.jit
def decide(now, plan, model, slots, slot, tail):
    """Return the :class:`Rule` of the token after the state `now`."""
    thinking, answering = now.phase == _THINKING, now.phase == _ANSWER
    rested = may_open_segment(now, plan)
    opens = rested & _opens_gate(now, plan, slots, slot, tail)
    forced = tl.where(thinking | answering, -1, load_script_token(slots, slot, now.cursor))
    ends = now.end_match == model.end_length - 1
    missing = plan.min_tokens - now.num_hidden
    moved = tl.where(ends & (missing > 1), _STOP | _END, _STOP)
    too_soon = now.num_hidden < plan.min_tokens_before_call
    moved = tl.where(thinking, moved | tl.where(too_soon, _TOOL, 0), 0)
    ready = (missing <= 1) & (now.at_boundary != 0)
    return Rule(
        forced=tl.where(opens, model.signal, forced),
        moved=moved,
        banned=_find_banned(now, plan, model, thinking, answering, ends),
        thinking=thinking.to(tl.int32),
        opens=opens.to(tl.int32),
        tries_entropy=(rested & (plan.gate_mode == _ENTROPY)).to(tl.int32),
        tries_exit=(thinking & ready & (plan.has_exit != 0)).to(tl.int32),
        resumes=((now.answer_begins != 0) & (now.in_segment != 0)).to(tl.int32),
    )


@triton.jit
def _find_banned(now, plan, model, thinking, answering, ends):
    """Return the bits of the watched tokens that may not be sampled."""
    starts = now.start_match == model.start_length - 1
    banned = tl.where(ends, _END, 0) | tl.where(starts, _START, 0)
    banned = banned | tl.where(now.answer_begins != 0, _STOP, 0)
    banned = banned | tl.where(plan.gate_mode > 0, _SIGNAL, 0)
    exits = tl.where(thinking & (plan.has_exit != 0), _EXIT, 0)
    return tl.where(answering, banned, exits)


@triton.jit
def _opens_gate(now, plan, slots, slot, tail):
    """Return whether a gate that needs no logits is open."""
    opens = (plan.gate_mode == _EVERY) & (now.num_since >= plan.interval)
    if plan.gate_mode == _AFTER:
        # The same end of the answer opens a gate only once.
        opens = (now.num_since > 0) & _ends_with_string(slots, slot, tail)
    return opens


@triton.jit
def _ends_with_string(slots, slot, tail):
    """Return whether the answer ends with one of the slot's strings."""
    strings = load_gate_strings(slots, slot, _STRINGS)
    same = (strings == tail[None, :]) | (strings == _ANY)
    is_empty = tl.max(strings, 1) == _ANY
    found = (tl.min(same.to(tl.int32), 1) != 0) & ~is_empty
    return tl.max(found.to(tl.int32), 0) != 0


@triton.jit
def write_rule(logits, model, rule, num_watched: tl.constexpr):
    """Write a rule to the row at `logits`: to the watched columns and the forced one.

    `num_watched` is a power of two, at least ``model.num_watched``.
    """
    places = tl.arange(0, num_watched)
    mask = places < model.num_watched
    columns = tl.load(model.watched + places, mask=mask, other=0)
    bits = tl.load(model.watched_classes + places, mask=mask, other=0)
    values = tl.load(logits + columns, mask=mask, other=_NEG_INF)
    moved = (bits & rule.moved) != 0
    largest = tl.max(tl.where(moved, values, _NEG_INF), 0)
    base = tl.where(largest == _NEG_INF, 0.0, largest)
    total = tl.sum(tl.where(moved, tl.exp(values - base), 0.0), 0)
    values = tl.where(moved | ((bits & rule.banned) != 0), _NEG_INF, values)
    stands_in = ((bits & _EOS) != 0) & (rule.thinking != 0)
    values = tl.where(stands_in, base + tl.log(total), values)
    # The same value twice where the forced token is also a watched one.
    values = tl.where(columns == rule.forced, _FORCED, values)
    tl.store(logits + columns, values, mask=mask)
    tl.store(logits + tl.maximum(rule.forced, 0), _FORCED, mask=rule.forced >= 0)
