"""The sampler as a logits processor of vLLM's V1 runner (the one that runs on CPU).

Interface: ``vllm/v1/sample/logits_processor/interface.py``, vLLM 0.32. Loaded by name in
the engine's worker process; the model's markers come from
``additional_config["thinking"]``, a request's plan from ``extra_args["thinking"]``.
What the plan means is the sampler's business.
"""

import torch
from vllm.config import VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from thinking.arrays import arrays_for
from thinking.automaton_tables import AutomatonTables
from thinking.boundaries import boundary_token_ids, token_bytes
from thinking.markers import MarkerProfile
from thinking.plan import EXTRA_ARGS_KEY, ThinkingPlan
from thinking.sampler import SamplerRow, ThinkingSampler
from thinking.tracker import TrackerTables

ADDITIONAL_CONFIG_KEY = "thinking"


class ThinkingLogitsProcessor(LogitsProcessor):
    """One per worker. Rows without a plan are left as they are."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        additional = vllm_config.additional_config
        assert isinstance(additional, dict)  # set by VllmEngine
        profile = MarkerProfile.from_dict(additional[ADDITIONAL_CONFIG_KEY])
        tokenizer = cached_tokenizer_from_config(vllm_config.model_config)
        tables = AutomatonTables(
            TrackerTables(profile, boundary_token_ids(tokenizer)),
            vllm_config.model_config.get_vocab_size(),
            arrays_for(device),
            token_bytes(tokenizer),
        )
        self._sampler = ThinkingSampler(tables, vllm_config.scheduler_config.max_num_seqs, device)
        self._rows: dict[int, SamplerRow] = {}

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Refuse a malformed plan in the API process.

        Raises:
            ValueError: see :meth:`ThinkingPlan.check`.
        """
        _plan_of(sampling_params)

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


def _plan_of(params: SamplingParams) -> ThinkingPlan | None:
    data = (params.extra_args or {}).get(EXTRA_ARGS_KEY)
    return None if data is None else ThinkingPlan.from_dict(data)


def _new_row(
    params: SamplingParams, prompt_token_ids: list[int] | None, output_token_ids: list[int]
) -> SamplerRow | None:
    plan = _plan_of(params)
    return None if plan is None else SamplerRow(plan, output_token_ids)
