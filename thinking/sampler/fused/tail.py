"""The last bytes of one request's answer, in a kernel: ``thinking.sampler.answer_tail``.

Knows nothing of gates or phases.
"""

import triton
import triton.language as tl

from thinking.gate import MAX_GATE_STRING_BYTES

_WIDTH = tl.constexpr(MAX_GATE_STRING_BYTES)


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
