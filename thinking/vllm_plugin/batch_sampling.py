"""Sampling parameters as columns on a device, and their use on many rows at once.

For the V1 runner on a GPU, and for Model Runner V2 where Triton cannot run. Waits for no device.
Does not know phases.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from thinking.phase_sampling import PhaseSampling
from thinking.sampler.arrays import TorchArrays
from thinking.sampler.row_sampling import force_likeliest, keep_likely


@dataclass(frozen=True, slots=True)
class SamplingColumns:
    """Sampling parameters of n rows, ``[n]`` each.

    float32, but `top_k` int32: the whole vocabulary where it excludes none, as in vLLM.
    """

    temperature: torch.Tensor
    min_p: torch.Tensor
    top_k: torch.Tensor
    top_p: torch.Tensor

    @classmethod
    def of(
        cls, phases: Sequence[PhaseSampling], vocab_size: int, device: torch.device
    ) -> "SamplingColumns":
        """Return the columns of `phases`."""
        put = TorchArrays(device).put
        limits = [phase.top_k or vocab_size for phase in phases]
        return cls(
            temperature=put([phase.temperature for phase in phases], "float32"),
            min_p=put([phase.min_p for phase in phases], "float32"),
            top_k=put([min(limit, vocab_size) for limit in limits], "int32"),
            top_p=put([phase.top_p for phase in phases], "float32"),
        )

    def pick(self, places: torch.Tensor) -> "SamplingColumns":
        """Return the columns of the rows at `places`, int64 ``[k]``."""
        return SamplingColumns(
            self.temperature[places], self.min_p[places], self.top_k[places], self.top_p[places]
        )

    def store(self, places: torch.Tensor, other: "SamplingColumns") -> None:
        """Store the rows of `other` at `places`, int64 ``[k]``."""
        self.temperature[places] = other.temperature
        self.min_p[places] = other.min_p
        self.top_k[places] = other.top_k
        self.top_p[places] = other.top_p


def apply_to_rows(logits: torch.Tensor, rows: torch.Tensor, columns: SamplingColumns) -> None:
    """Apply sampling parameters to `rows` (distinct, int64 ``[n]``) of `logits`, in place.

    See :mod:`thinking.sampler.row_sampling`.

    Args:
        logits: float32 ``[batch, vocab]``.
        rows: the rows that are changed.
        columns: their parameters.
    """
    # Only here: the API process loads the adapters too, and has no use for vLLM's kernels.
    from vllm.v1.sample.ops.topk_topp_sampler import apply_top_k_top_p

    values = logits[rows]
    temperature = columns.temperature[:, None]
    greedy = temperature == 0.0
    values.div_(temperature.masked_fill(greedy, 1.0))
    keep_likely(values, columns.min_p[:, None])
    values = apply_top_k_top_p(values, columns.top_k, columns.top_p)
    force_likeliest(values, greedy)
    logits[rows] = values
