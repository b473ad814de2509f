"""The sampler as a logits processor of vLLM's V1 runner (the one that runs on CPU).

Interface: ``vllm/v1/sample/logits_processor/interface.py``, vLLM 0.32. Loaded by name in
the engine's worker process. What a plan means is the sampler's business.
"""

import torch
from vllm.config import VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from thinking.sampler.arrays import arrays_for
from thinking.sampler.sampler import SamplerRow, ThinkingSampler
from thinking.vllm_plugin.seeded_prefill import keep_generators
from thinking.vllm_plugin.worker_config import model_tables, plan_of


class ThinkingLogitsProcessor(LogitsProcessor):
    """One per worker. Rows without a plan are left as they are."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        if device.type == "cpu":
            _mend_cpu_runner()
        tables = model_tables(vllm_config, arrays_for(device))
        max_num_seqs = vllm_config.scheduler_config.max_num_seqs
        self._sampler = ThinkingSampler(tables, max_num_seqs, device)
        self._rows: dict[int, SamplerRow] = {}

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Refuse a malformed plan in the API process.

        Raises:
            ValueError: see :meth:`ThinkingPlan.check`.
        """
        plan_of(sampling_params)

    def is_argmax_invariant(self) -> bool:
        """False: forced tokens change greedy sampling."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow requests that were added, removed or moved in the batch."""
        if process_dict_updates(self._rows, batch_update, _new_row):
            self._sampler.update(self._rows)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Constrain the next token; `logits` is float32 ``[batch, vocab]``, changed in place.

        Sampled tokens are read here, not in :meth:`update_state`: under asynchronous
        scheduling the runner fills in a list's last token only just before sampling.
        """
        return self._sampler.apply(logits)


def _mend_cpu_runner() -> None:
    from vllm.v1.worker.cpu_model_runner import CPUModelRunner  # in no GPU build's worker

    keep_generators(CPUModelRunner)


def _new_row(
    params: SamplingParams, prompt_token_ids: list[int] | None, output_token_ids: list[int]
) -> SamplerRow | None:
    plan = plan_of(params)
    return None if plan is None else SamplerRow(plan, output_token_ids)
