"""The loop guard of one request in a kernel's registers: ``thinking.sampler.loop_tensors``.

Knows nothing of phases.
"""

from typing import Any, NamedTuple

import triton
import triton.language as tl

from thinking.loop_guard import MAX_PERIOD
from thinking.sampler.loop_tensors import NEVER, NO_TOKEN

_PERIODS = tl.constexpr(MAX_PERIOD)
_NO_TOKEN = tl.constexpr(NO_TOKEN)
_LONGEST_RUN = tl.constexpr(int(NEVER) - 2)


class Loop(NamedTuple):
    """The loop guard of one request: int32 ``[MAX_PERIOD]`` each, by period."""

    history: Any
    runs: Any
    needed: Any


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
