"""The kernel that leaves the likeliest token alone in rows that are sampled greedily.

Launched only if a request of the batch takes the likeliest token in its thoughts or in its answer,
and not in both. Does not know phases.
"""

import torch
import triton
import triton.language as tl

from thinking.sampler.constraints import FORCED

BLOCK = 4096  # logits that a program reads at once
NUM_WARPS = 8
_FORCED = tl.constexpr(FORCED)
_LAST = tl.constexpr(2**31 - 1)


@triton.jit
def greedy_kernel(
    logits,
    logits_stride,
    row_places,
    temperature,
    vocab_size,
    block: tl.constexpr,
):
    """Force the likeliest token of one row, the first of equals; one program per row.

    Args:
        logits: float32 ``[rows, logits_stride]``.
        row_places: the place of each row's parameters; temperature: 0 where a row is greedy.
        block: number of logits that are read at once.
    """
    row = tl.program_id(0)
    place = tl.load(row_places + row)
    if tl.load(temperature + place) != 0.0:
        return
    values = logits + row.to(tl.int64) * logits_stride
    columns = tl.arange(0, block)
    largest = tl.full([block], float("-inf"), tl.float32)
    found = columns
    for start in range(0, vocab_size, block):
        mask = start + columns < vocab_size
        value = tl.load(values + start + columns, mask=mask, other=float("-inf"))
        found = tl.where(value > largest, start + columns, found)
        largest = tl.maximum(largest, value)
    top = tl.max(largest, 0)
    best = tl.min(tl.where(largest == top, found, _LAST), 0)
    tl.store(values + best, _FORCED)


def force_likeliest(
    logits: torch.Tensor, row_places: torch.Tensor, temperature: torch.Tensor
) -> None:
    """Leave the likeliest token alone in the rows at temperature 0, in place.

    Args:
        logits: float32 ``[rows, vocab]``.
        row_places: int64 ``[rows]``, the place of each row in `temperature`.
        temperature: float32.
    """
    greedy_kernel[(len(logits),)](
        logits=logits,
        logits_stride=logits.stride(0),
        row_places=row_places,
        temperature=temperature,
        vocab_size=logits.shape[1],
        block=BLOCK,
        num_warps=NUM_WARPS,
    )
