"""Top-k and top-p as a logits processor of vLLM's V1 runner on the CPU.

vLLM's own sampler sorts the vocabulary for them, so requests carry their limits past it, in
``extra_args``. Interface: ``vllm/v1/sample/logits_processor/interface.py``, vLLM 0.32. Runs after
temperature and min-p, where vLLM has its own. Knows no thoughts.
"""

from typing import Any

import torch
from vllm.config import VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from thinking.sampler.nucleus import Nucleus, keep_nucleus

NUCLEUS_KEY = "nucleus"  # in `SamplingParams.extra_args`


class NucleusLogitsProcessor(LogitsProcessor):
    """Applies the limits that :func:`to_extra_args` wrote. Other rows are not changed."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        self._rows: dict[int, Nucleus] = {}

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Accept all: the API layer has checked the values that :func:`to_extra_args` got."""

    def is_argmax_invariant(self) -> bool:
        """Return True: the likeliest token is always kept."""
        return True

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Apply the requests added to, removed from or moved within the batch."""
        process_dict_updates(self._rows, batch_update, _read)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Keep each row's nucleus; `logits` is float32 ``[batch, vocab]``, changed in place."""
        for row, nucleus in self._rows.items():
            keep_nucleus(logits[row], nucleus)
        return logits


def to_extra_args(nucleus: Nucleus) -> dict[str, Any]:
    """Return what a request has in ``extra_args``; its own `top_k` and `top_p` then keep all."""
    return {} if nucleus.keeps_all else {NUCLEUS_KEY: [nucleus.top_k, nucleus.top_p]}


def _read(
    params: SamplingParams, prompt_token_ids: list[int] | None, output_token_ids: list[int]
) -> Nucleus | None:
    limits = (params.extra_args or {}).get(NUCLEUS_KEY)
    return None if limits is None else Nucleus(*limits)
