"""The kernel of a step: it advances each request's state and constrains its rows.

The state goes over the tokens that were accepted since the last step, then each of the request's
rows of the logits is constrained: one, or with speculative decoding one more for each draft. The
tokens of a draft advance a copy of the state in registers, never the stored one, so nothing has to
be taken back when they are rejected. Does not wait for the host.
"""

import triton
import triton.language as tl

from thinking.gate import GateMode
from thinking.sampler.fused.advance import advance
from thinking.sampler.fused.constrain import decide, write_rule
from thinking.sampler.fused.loop import keep_loop, load_loop, push_loop, store_loop
from thinking.sampler.fused.records import load_plan, load_state, store_state
from thinking.sampler.fused.rule import RULE_WIDTH, count_rows, store_rule
from thinking.sampler.fused.tail import load_tail, push_tail, store_tail

_RULE_WIDTH = tl.constexpr(RULE_WIDTH)
_AFTER = tl.constexpr(int(GateMode.AFTER))

# The start of a slice may be aligned to less than 16 bytes; all must run the same binary.
SLICES = ["row_slots", "row_offsets", "input_ids"]


@triton.jit(do_not_specialize=["num_rows", "passes"], do_not_specialize_on_alignment=SLICES)
def step_kernel(
    slots,
    model,
    tokens,
    token_stride,
    logits,
    logits_stride,
    row_slots,
    row_offsets,
    input_ids,
    rules,
    num_rows,
    passes,
    max_rows: tl.constexpr,
    num_watched: tl.constexpr,
):
    """Advance the state of one request and constrain its rows.

    One program per row of the logits; the first row's does the work of all of a request's rows.

    Args:
        slots, model, tokens: see :mod:`thinking.sampler.fused.records`.
        logits: float32 ``[num_rows, logits_stride]``.
        row_slots: the slot of each row; row_offsets: its place among its request's rows.
        input_ids: the token that the model read at each row: a draft, after the first row.
        rules: int32 ``[num_rows, RULE_WIDTH]``, for the second kernel and for sampling by phase;
            unused unless `passes`.
        max_rows: a power of two, at least the number of rows of a request.
    """
    row = tl.program_id(0)
    slot = tl.load(row_slots + row).to(tl.int64)
    seen = tl.load(slots.num_seen + slot)
    if seen < 0:  # the request has no plan
        if passes != 0:
            tl.store(rules + row * _RULE_WIDTH, 0)
        return
    if tl.load(row_offsets + row) != 0:
        return
    plan = load_plan(slots, slot)
    now, loop, tail = _catch_up(slots, slot, seen, plan, model, tokens, token_stride)
    count = count_rows(row_offsets, row, num_rows, max_rows)
    for index in range(count):
        place = row + index
        rule = decide(now, plan, model, slots, slot, tail)
        later = 0
        if passes != 0:
            later = _needs_pass(rule, plan)
            store_rule(rules + place * _RULE_WIDTH, rule, later, now.num_segments_left)
        if later == 0:
            write_rule(logits + place.to(tl.int64) * logits_stride, model, rule, num_watched)
        if index + 1 < count:
            draft = tl.load(input_ids + place + 1).to(tl.int32)
            now, loop, tail = _take(now, loop, tail, plan, model, draft)


@triton.jit
def _catch_up(slots, slot, seen, plan, model, tokens, token_stride):
    """Advance the stored state over the accepted tokens that it has not seen."""
    now, loop, tail = load_state(slots, slot), load_loop(slots, slot), load_tail(slots, slot)
    prompt, length = tl.load(tokens.prompt_lengths + slot), tl.load(tokens.lengths + slot)
    history = tokens.ids + slot * token_stride
    if prompt + seen < length:
        for position in range(prompt + seen, length):
            token = tl.load(history + position)
            now, loop, tail = _take(now, loop, tail, plan, model, token)
        store_state(slots, slot, now)
        store_loop(slots, slot, loop)
        if plan.gate_mode == _AFTER:
            store_tail(slots, slot, tail)
        tl.store(slots.num_seen + slot, length - prompt)
    return now, loop, tail


@triton.jit
def _take(now, loop, tail, plan, model, token):
    """Return state, loop guard and answer's tail after one more token."""
    # A draft may be a placeholder (-1), which is always rejected: no row after it is used.
    token = tl.where((token >= 0) & (token < model.vocab_size), token, 0)
    loop, loops = push_loop(loop, token)
    now, goes_on, answering = advance(now, plan, model, token, loops)
    loop = keep_loop(loop, goes_on)
    if (plan.gate_mode == _AFTER) & answering:
        tail = push_tail(tail, model, token)
    return now, loop, tail


@triton.jit
def _needs_pass(rule, plan):
    """Return 1 if the row's rule depends on the whole vocabulary, or mixes logits; else 0."""
    mixes = (plan.kept_row > 0) & ((rule.opens | rule.resumes) != 0)
    return (mixes | ((rule.tries_entropy | rule.tries_exit) != 0)).to(tl.int32)
