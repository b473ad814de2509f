"""Applies the sampling parameters of a phase to logits, as vLLM's sampler applies a request's.

In vLLM's order: temperature, min-p, top-k, top-p. What remains is sampled at temperature 1. A
greedy phase leaves the likeliest token alone, as a forced token is left. Does not know in which
phase a row is.
"""

import torch

from thinking.phase_sampling import PhaseSampling
from thinking.sampler.constraints import FORCED, NEG_INF
from thinking.sampler.nucleus import Nucleus, keep_nucleus


def apply_to_row(logits: torch.Tensor, phase: PhaseSampling) -> None:
    """Apply `phase` to one row on the CPU, float32 ``[vocab]``, in place.

    The operations are those of vLLM's V1 sampler and of :mod:`thinking.sampler.nucleus`, so the
    result is, bit for bit, what a request with these parameters would be sampled from.
    """
    if phase.is_greedy:
        logits[logits.argmax()] = FORCED
        return
    logits.div_(phase.temperature)
    if phase.min_p > 0.0:
        keep_likely(logits[None], phase.min_p)
    nucleus = Nucleus(phase.top_k, phase.top_p)
    if not nucleus.keeps_all:
        keep_nucleus(logits, nucleus)


def keep_likely(logits: torch.Tensor, min_p: torch.Tensor | float) -> None:
    """Exclude the tokens less likely than `min_p` times the likeliest one, in place.

    The formula of ``MinPLogitsProcessor`` in vLLM 0.32
    (``vllm/v1/sample/logits_processor/builtin.py``); min-p: Nguyen et al., 2024,
    https://arxiv.org/abs/2407.01082.

    Args:
        logits: float32 ``[n, vocab]``, already divided by the temperature.
        min_p: float32 ``[n, 1]``, or one number for all rows; 0 excludes none.
    """
    probabilities = logits.softmax(dim=-1)
    least = probabilities.amax(dim=-1, keepdim=True) * min_p
    logits.masked_fill_(probabilities < least, NEG_INF)


def force_likeliest(logits: torch.Tensor, greedy: torch.Tensor) -> None:
    """Leave the likeliest token alone in the rows that are `greedy`, in place.

    Args:
        logits: float32 ``[n, vocab]``.
        greedy: bool ``[n, 1]``.
    """
    best = logits.argmax(dim=-1, keepdim=True)
    values = logits.gather(1, best)
    logits.scatter_(1, best, values.masked_fill(greedy, FORCED))
