"""The two kernels of a step.

The first advances each request's state over the tokens that were accepted since the last step,
and constrains its rows of the logits: one, or with speculative decoding one more for each draft.
The tokens of a draft advance a copy of the state in registers, never the stored one, so nothing
has to be taken back when they are rejected. The second kernel runs only if the batch has a
request with an option that reads the whole vocabulary. Neither waits for the host.
"""

import triton
import triton.language as tl

from thinking.gate import GateMode
from thinking.sampler.fused.advance import advance
from thinking.sampler.fused.constrain import Rule, decide, write_rule
from thinking.sampler.fused.records import (
    keep_loop,
    load_kept_row,
    load_level,
    load_loop,
    load_plan,
    load_state,
    load_tail,
    push_loop,
    push_tail,
    store_loop,
    store_state,
    store_tail,
)
from thinking.sampler.gating import NEGLIGIBLE
from thinking.sampler.row_state import Level

RULE_WIDTH = 16  # int32 per row, of which a rule uses 9

_RULE_WIDTH = tl.constexpr(RULE_WIDTH)
_AFTER = tl.constexpr(int(GateMode.AFTER))
_EXIT_LEVEL = tl.constexpr(int(Level.EXIT))
_ENTROPY_LEVEL = tl.constexpr(int(Level.ENTROPY))
_MIX_LEVEL = tl.constexpr(int(Level.MIX))
_NEGLIGIBLE = tl.constexpr(NEGLIGIBLE)
_LOWEST = tl.constexpr(-1e30)  # finite, so that differences are never NaN

# The start of a slice may be aligned to less than 16 bytes; all must run the same binary.
_SLICES = ["logits", "row_slots", "row_offsets", "input_ids"]


@triton.jit(
    do_not_specialize=["num_rows", "passes"],
    do_not_specialize_on_alignment=[*_SLICES, "rules"],
)
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
        rules: int32 ``[num_rows, RULE_WIDTH]``, for the second kernel; unused unless `passes`.
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
    count = _count_rows(row_offsets, row, num_rows, max_rows)
    for index in range(count):
        place = row + index
        rule = decide(now, plan, model, slots, slot, tail)
        later = 0
        if passes != 0:
            later = _needs_pass(rule, plan)
            _store_rule(rules + place * _RULE_WIDTH, rule, later, now.num_segments_left)
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
def _count_rows(row_offsets, first, num_rows, max_rows: tl.constexpr):
    """Return the number of rows of the request whose first row is `first`."""
    offsets = tl.arange(0, max_rows)
    found = tl.load(row_offsets + first + offsets, mask=first + offsets < num_rows, other=-1)
    # A later request's rows count from 0 again, so they are never in the same place.
    return tl.sum((found == offsets).to(tl.int32), 0)


@triton.jit
def _needs_pass(rule, plan):
    """Return 1 if the row's rule depends on the whole vocabulary, or mixes logits; else 0."""
    mixes = (plan.kept_row > 0) & ((rule.opens | rule.resumes) != 0)
    return (mixes | ((rule.tries_entropy | rule.tries_exit) != 0)).to(tl.int32)


@triton.jit
def _store_rule(row, rule, later, num_segments_left):
    tl.store(row, later)
    if later != 0:
        tl.store(row + 1, rule.forced)
        tl.store(row + 2, rule.moved)
        tl.store(row + 3, rule.banned)
        tl.store(row + 4, rule.thinking)
        tl.store(row + 5, rule.opens)
        tl.store(row + 6, rule.tries_entropy)
        tl.store(row + 7, rule.tries_exit)
        tl.store(row + 8, rule.resumes)
        tl.store(row + 9, num_segments_left)


@triton.jit
def _load_rule(row):
    return Rule(
        forced=tl.load(row + 1),
        moved=tl.load(row + 2),
        banned=tl.load(row + 3),
        thinking=tl.load(row + 4),
        opens=tl.load(row + 5),
        tries_entropy=tl.load(row + 6),
        tries_exit=tl.load(row + 7),
        resumes=tl.load(row + 8),
    )


@triton.jit(
    do_not_specialize=["num_rows"],
    do_not_specialize_on_alignment=[*_SLICES[:3], "rules", "kept", "kept_filled"],
)
def vocabulary_kernel(
    slots,
    model,
    logits,
    logits_stride,
    row_slots,
    row_offsets,
    rules,
    kept,
    kept_filled,
    kept_stride,
    num_rows,
    max_rows: tl.constexpr,
    num_watched: tl.constexpr,
    num_kept: tl.constexpr,
    block: tl.constexpr,
):
    """Finish the rows whose rule needs a pass over the vocabulary.

    One program per row. The rows of a request that mixes logits are done one after the other by
    the first one's program, since an earlier row may keep the logits that a later one mixes in.

    Args:
        kept: float32 ``[places, num_kept, vocab]`` and kept_filled, int8 ``[places, num_kept]``:
            the logits from before the last `num_kept` segments of each mixing request.
        block: number of logits that are read at once.
    """
    row = tl.program_id(0)
    slot = tl.load(row_slots + row).to(tl.int64)
    kept_row = load_kept_row(slots, slot).to(tl.int64)
    count = 1
    if kept_row > 0:
        count = 0
        if tl.load(row_offsets + row) == 0:
            count = _count_rows(row_offsets, row, num_rows, max_rows)
    for index in range(count):
        entry = rules + (row + index) * _RULE_WIDTH
        if tl.load(entry) != 0:
            rule = _load_rule(entry)
            values = logits + (row + index).to(tl.int64) * logits_stride
            rule = _decide_by_logits(slots, slot, model, values, rule, block)
            if kept_row > 0:
                # The segment that begins here, or the one that has just ended.
                number = tl.load(entry + 9) + tl.where(rule.opens != 0, 0, 1)
                place = kept_row * num_kept + number % num_kept
                keeper = kept + place * kept_stride
                weight = load_level(slots, slot, _MIX_LEVEL)
                filled = kept_filled + place
                _keep_or_mix(values, keeper, filled, weight, rule, model.vocab_size, block)
                tl.debug_barrier()
            write_rule(values, model, rule, num_watched)


@triton.jit
def _decide_by_logits(slots, slot, model, values, rule, block: tl.constexpr):
    """Return the rule with what depends on the entropy, or on the end marker's probability."""
    opens, forced = rule.opens, rule.forced
    if (rule.tries_entropy | rule.tries_exit) != 0:
        log_total, entropy = _measure(values, model.vocab_size, block)
        level = load_level(slots, slot, _ENTROPY_LEVEL)
        is_unsure = (rule.tries_entropy != 0) & (entropy > level)
        end = tl.exp(tl.load(values + model.end_first) - log_total)
        exits = (rule.tries_exit != 0) & (end > load_level(slots, slot, _EXIT_LEVEL))
        opens = tl.where(is_unsure, 1, opens)
        forced = tl.where(is_unsure, model.signal, forced)
        forced = tl.where(exits, model.exit_stand_in, forced)
    return Rule(
        forced=forced,
        moved=rule.moved,
        banned=rule.banned,
        thinking=rule.thinking,
        opens=opens,
        tries_entropy=rule.tries_entropy,
        tries_exit=rule.tries_exit,
        resumes=rule.resumes,
    )


@triton.jit
def _measure(values, size, block: tl.constexpr):
    """Return a row's log of the sum of exponentials, and its Shannon entropy in nats."""
    places = tl.arange(0, block)
    largest = tl.full([block], _LOWEST, tl.float32)
    weights = tl.zeros([block], tl.float32)
    moments = tl.zeros([block], tl.float32)
    for start in range(0, size, block):
        mask = start + places < size
        value = tl.load(values + start + places, mask=mask, other=float("-inf"))
        raised = tl.maximum(largest, value)
        # What was summed below the old maximum is now that much further below the new one.
        shift = largest - raised
        scale = tl.exp(shift)
        below = tl.maximum(value - raised, _NEGLIGIBLE)
        weight = tl.exp(below)
        moments = scale * (moments + shift * weights) + weight * below
        weights = scale * weights + weight
        largest = raised
    top = tl.max(largest, 0)
    shift = largest - top
    scale = tl.exp(shift)
    total = tl.sum(scale * weights, 0)
    moment = tl.sum(scale * (moments + shift * weights), 0)
    return top + tl.log(total), tl.log(total) - moment / total


@triton.jit
def _keep_or_mix(values, keeper, filled, weight, rule, size, block: tl.constexpr):
    """Keep the row where a segment begins; mix the kept one in where the answer goes on."""
    places = tl.arange(0, block)
    mixes = (rule.resumes != 0) & (tl.load(filled) != 0)
    if rule.opens != 0:
        for start in range(0, size, block):
            mask = start + places < size
            value = tl.load(values + start + places, mask=mask)
            tl.store(keeper + start + places, value, mask=mask)
        tl.store(filled, 1)
    elif mixes:
        for start in range(0, size, block):
            mask = start + places < size
            value = tl.load(values + start + places, mask=mask, other=0.0)
            before = tl.load(keeper + start + places, mask=mask, other=0.0)
            after = tl.where(weight > 0, weight * value, 0.0)  # 0 × -inf would be NaN
            before = tl.where(weight < 1, (1 - weight) * before, 0.0)
            tl.store(values + start + places, after + before, mask=mask)
