"""The kernel that reads the vocabulary: for an entropy gate, an early exit, or mixing.

It runs after the kernel of the step, only if the batch has a request with such an option, and
finishes the rows that were left open there. Does not read or change the state.
"""

import triton
import triton.language as tl

from thinking.sampler.fused.constrain import write_rule
from thinking.sampler.fused.records import load_kept_row, load_level
from thinking.sampler.fused.rule import RULE_WIDTH, SEGMENT, Rule, count_rows, load_rule
from thinking.sampler.fused.step_kernel import SLICES
from thinking.sampler.gating import NEGLIGIBLE
from thinking.sampler.row_state import Level

_RULE_WIDTH = tl.constexpr(RULE_WIDTH)
_SEGMENT = tl.constexpr(SEGMENT)
_EXIT_LEVEL = tl.constexpr(int(Level.EXIT))
_ENTROPY_LEVEL = tl.constexpr(int(Level.ENTROPY))
_MIX_LEVEL = tl.constexpr(int(Level.MIX))
_NEGLIGIBLE = tl.constexpr(NEGLIGIBLE)
_LOWEST = tl.constexpr(-1e30)  # finite, so that differences are never NaN


@triton.jit(do_not_specialize=["num_rows"], do_not_specialize_on_alignment=SLICES[:2])
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
            count = count_rows(row_offsets, row, num_rows, max_rows)
    # Rows after a draft that the opening of a segment rejects may open it again, as if it had not
    # begun: they are never read, and must not take the place of what was kept.
    newest = tl.full([], -1, tl.int32)
    for index in range(count):
        entry = rules + (row + index) * _RULE_WIDTH
        if tl.load(entry) != 0:
            rule = load_rule(entry)
            values = logits + (row + index).to(tl.int64) * logits_stride
            rule = _decide_by_logits(slots, slot, model, values, rule, block)
            if kept_row > 0:
                # The segment that begins here, or the one that has just ended.
                opened = tl.load(entry + _SEGMENT).to(tl.int32)
                number = opened + tl.where(rule.opens != 0, 0, 1)
                place = kept_row * num_kept + number % num_kept
                keeper = kept + place * kept_stride
                weight = load_level(slots, slot, _MIX_LEVEL)
                filled = kept_filled + place
                keeps = (rule.opens != 0) & (opened > newest)
                _keep_or_mix(values, keeper, filled, weight, rule, keeps, model.vocab_size, block)
                newest = tl.where(keeps, opened, newest)
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
def _keep_or_mix(values, keeper, filled, weight, rule, keeps, size, block: tl.constexpr):
    """Keep the row where a segment begins; mix the kept one in where the answer goes on."""
    places = tl.arange(0, block)
    mixes = (rule.opens == 0) & (rule.resumes != 0) & (tl.load(filled) != 0)
    if keeps:
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
