"""The sampling of thoughts and answers under Model Runner V2.

A request whose thoughts are sampled otherwise than its answer comes with neutral parameters of its
own (see ``phase_sampling.py``). Both of its samplings are kept here, two places a slot, and each
row of the logits gets the one that its next token's phase says: with speculative decoding, rows of
one request may differ. The kernels are vLLM's own, and run after its penalties, where it would run
them for parameters of the request. Does not know how a phase is found.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext

from thinking.phase_sampling import PhaseSampling, SamplingByPhase
from thinking.sampler.arrays import TorchArrays
from thinking.vllm_plugin.batch_sampling import SamplingColumns, apply_to_rows

NEUTRAL = PhaseSampling()
ANSWER, THOUGHT = 0, 1  # the place of a phase among the two of a slot


class RowSampling:
    """The samplings of all slots; most have none.

    Invariant: the places of a slot without samplings are neutral once :meth:`flush` has run.
    """

    def __init__(self, num_slots: int, vocab_size: int, device: torch.device) -> None:
        self._arrays = TorchArrays(device)
        self._device, self._vocab_size = device, vocab_size
        self._columns = SamplingColumns.of([NEUTRAL] * (2 * num_slots), vocab_size, device)
        self._known: dict[int, SamplingByPhase] = {}
        self._changed: dict[int, SamplingByPhase | None] = {}
        self._apply: ApplySampling = apply_with_torch

    def use_kernels(self) -> None:
        """Use Triton's kernels from now on, and compile them."""
        self._apply = KernelSampling(self._device, self._vocab_size)

    def set_slot(self, slot: int, sampling: SamplingByPhase | None) -> None:
        """Assign the slot to a request; None: vLLM samples all of its tokens."""
        if sampling is None and slot not in self._known:
            return
        self._changed[slot] = sampling
        if sampling is None:
            del self._known[slot]
        else:
            self._known[slot] = sampling

    def flush(self) -> None:
        """Copy the samplings of changed slots to the device."""
        if not self._changed:
            return
        phases: list[PhaseSampling] = []
        for sampling in self._changed.values():
            pair = (NEUTRAL, NEUTRAL)
            phases += pair if sampling is None else (sampling.answer, sampling.thought)
        places = [2 * slot + phase for slot in self._changed for phase in (ANSWER, THOUGHT)]
        columns = SamplingColumns.of(phases, self._vocab_size, self._device)
        self._columns.store(self._arrays.put(places, "int64"), columns)
        self._changed.clear()

    def is_wanted(self, slots: NDArray[np.int32]) -> bool:
        """Return whether one of `slots` has samplings of its own."""
        return bool(self._known) and any(slot in self._known for slot in slots.tolist())

    def apply(
        self, logits: torch.Tensor, context: LogitsContext, thinking: torch.Tensor
    ) -> torch.Tensor:
        """Return the logits, sampled as each row's phase says; changed in place or not.

        Args:
            logits: float32 ``[rows, vocab]``; rows of slots without samplings stay as they are.
            context: the layout of the rows.
            thinking: bool ``[rows]``, whether the next token is sampled inside a thought.
        """
        places = context.expanded_idx_mapping.to(torch.int64) * 2 + thinking
        return self._apply(logits, places, self._columns, context, self._known)


Known = Mapping[int, SamplingByPhase]


class ApplySampling(Protocol):
    """Applies the parameters at `places` (int64 ``[rows]``) of `columns` to the rows."""

    def __call__(
        self,
        logits: torch.Tensor,
        places: torch.Tensor,
        columns: SamplingColumns,
        context: LogitsContext,
        known: Known,
    ) -> torch.Tensor:
        """Return the logits; `known` are the slots that have samplings."""


def apply_with_torch(
    logits: torch.Tensor,
    places: torch.Tensor,
    columns: SamplingColumns,
    context: LogitsContext,
    known: Known,
) -> torch.Tensor:
    """See :class:`ApplySampling`; one row per request, as the torch step has no drafts."""
    found = [row for row, slot in enumerate(context.idx_mapping_np.tolist()) if slot in known]
    rows = TorchArrays(logits.device).put(found, "int64")
    apply_to_rows(logits, rows, columns.pick(places[rows]))
    return logits


class KernelSampling:
    """The Triton kernels: vLLM's own, which skip neutral rows, and one for greedy rows.

    Like vLLM, it launches only those that a request of the batch needs.
    """

    def __init__(self, device: torch.device, vocab_size: int) -> None:
        # Only here: the API process loads the adapter too, and has no use for Triton.
        from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p
        from vllm.v1.worker.gpu.sample.gumbel import apply_temperature
        from vllm.v1.worker.gpu.sample.min_p import apply_min_p

        from thinking.sampler.fused.greedy import force_likeliest

        self._apply_temperature, self._apply_min_p = apply_temperature, apply_min_p
        self._apply_top_k_top_p = apply_top_k_top_p
        self._force_likeliest = force_likeliest
        self._warm_up(device, vocab_size)

    def __call__(
        self,
        logits: torch.Tensor,
        places: torch.Tensor,
        columns: SamplingColumns,
        context: LogitsContext,
        known: Known,
    ) -> torch.Tensor:
        """See :class:`ApplySampling`."""
        slots = context.idx_mapping_np.tolist()
        pairs = [known[slot] for slot in slots if slot in known]
        phases = [phase for pair in pairs for phase in (pair.answer, pair.thought)]
        self._apply_temperature(logits, places, columns.temperature)
        if any(phase.min_p for phase in phases):
            self._apply_min_p(logits, places, columns.min_p)
        limits_k = any(phase.top_k for phase in phases)
        limits_p = any(phase.top_p < 1.0 for phase in phases)
        logits = self._apply_top_k_top_p(
            logits,
            columns.top_k[places] if limits_k else None,
            columns.top_p[places] if limits_p else None,
        )
        if any(phase.is_greedy for phase in phases):
            self._force_likeliest(logits, places, columns.temperature)
        return logits

    def _warm_up(self, device: torch.device, vocab_size: int) -> None:
        """Compile the kernels; vLLM does so itself for those of top-k and top-p."""
        logits = torch.zeros((1, vocab_size), device=device)
        place = torch.zeros(1, dtype=torch.int64, device=device)
        one = torch.ones(1, device=device)
        self._apply_temperature(logits, place, one)
        self._apply_min_p(logits, place, 0 * one)
        self._force_likeliest(logits, place, one)
