"""The sampler as a logits processor of vLLM's V1 runner, which runs on CPU.

Interface: ``vllm/v1/sample/logits_processor/interface.py``, vLLM 0.32. Loaded by name in
the engine's worker process. Does not know what a plan means.
"""

import torch
from vllm.config import VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from thinking.sampler.arrays import arrays_for
from thinking.sampler.sampler import SamplerRow, ThinkingSampler
from thinking.vllm_plugin.request_checks import check_request
from thinking.vllm_plugin.seeded_prefill import keep_generators
from thinking.vllm_plugin.worker_config import make_model_tables, read_plan


class ThinkingLogitsProcessor(LogitsProcessor):
    """The worker's logits processor. Rows without a plan are not changed."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        if device.type == "cpu":
            _patch_cpu_runner()
        tables = make_model_tables(vllm_config, arrays_for(device))
        max_num_seqs = vllm_config.scheduler_config.max_num_seqs
        self._sampler = ThinkingSampler(tables, max_num_seqs, device)
        self._rows: dict[int, SamplerRow] = {}

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Reject a malformed plan in the API process.

        Raises:
            ValueError: see :func:`check_request`.
        """
        check_request(sampling_params)

    def is_argmax_invariant(self) -> bool:
        """Return False: forced tokens change greedy sampling."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Apply the requests added to, removed from or moved within the batch."""
        if process_dict_updates(self._rows, batch_update, _make_row):
            self._sampler.update(self._rows)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Constrain the next token; `logits` is float32 ``[batch, vocab]``, changed in place.

        Sampled tokens are read here, not in :meth:`update_state`: with asynchronous scheduling
        the runner fills in the last token of a list just before sampling.
        """
        return self._sampler.apply(logits)


def _patch_cpu_runner() -> None:
    from vllm.v1.worker.cpu_model_runner import CPUModelRunner  # not in the worker of a GPU build

    keep_generators(CPUModelRunner)


def _make_row(
    params: SamplingParams, prompt_token_ids: list[int] | None, output_token_ids: list[int]
) -> SamplerRow | None:
    plan = read_plan(params)
    return None if plan is None else SamplerRow(plan, output_token_ids)
