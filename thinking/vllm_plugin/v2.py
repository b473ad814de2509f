"""The sampler as a logits processor of vLLM's Model Runner V2, which runs on GPUs.

Interface: ``vllm/v1/worker/gpu/sample/logits_processor/interface.py``, vLLM 0.32. Tokens
are never copied to the host: they are read from the runner's history on the device. A request
has the same slot here as there. Does not know what a plan or a sampling means.
"""

import numpy as np
import torch
from vllm.config import VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.worker.gpu.sample.logits_processor import (
    LogitsContext,
    LogitsProcessor,
    LogitsProcRequestState,
)

from thinking.phase_sampling import read_sampling_by_phase
from thinking.plan import ThinkingPlan
from thinking.sampler.arrays import TorchArrays
from thinking.vllm_plugin.request_checks import check_request
from thinking.vllm_plugin.v2_sampling import RowSampling
from thinking.vllm_plugin.v2_steps import FusedStepOnRunner, make_step
from thinking.vllm_plugin.worker_config import count_draft_tokens, make_model_tables, read_plan


class ThinkingLogitsProcessor(LogitsProcessor):
    """The worker's logits processor. Slots without a plan are not changed."""

    def __init__(self, vllm_config: VllmConfig, req_states: LogitsProcRequestState) -> None:
        super().__init__(vllm_config, req_states)
        self._history = req_states
        tables = make_model_tables(vllm_config, TorchArrays(req_states.device))
        self._step = make_step(tables, req_states, count_draft_tokens(vllm_config))
        self._plans: list[ThinkingPlan | None] = [None] * req_states.max_num_reqs
        self._has_plan = np.zeros(req_states.max_num_reqs, dtype=bool)
        self._changed: set[int] = set()
        self._sampling = RowSampling(
            req_states.max_num_reqs, vllm_config.model_config.get_vocab_size(), req_states.device
        )
        if isinstance(self._step, FusedStepOnRunner):
            self._sampling.use_kernels()

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Reject a malformed plan or sampling in the API process.

        Raises:
            ValueError: see :func:`check_request` and :func:`read_sampling_by_phase`.
        """
        check_request(sampling_params)
        read_sampling_by_phase(sampling_params.extra_args)

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """Assign the slot to a new or resumed request, replacing its contents."""
        plan = read_plan(sampling_params)
        # Also without a plan: the slot's last request may have had one.
        if plan is not None or self._has_plan[req_idx]:
            self._changed.add(req_idx)
        self._plans[req_idx] = plan
        self._has_plan[req_idx] = plan is not None
        by_phase = None if plan is None else read_sampling_by_phase(sampling_params.extra_args)
        self._sampling.set_slot(req_idx, by_phase)
        return plan is not None

    def apply_staged_writes(self) -> None:
        """Copy the state of added requests to the device."""
        self._sampling.flush()
        if not self._changed:
            return
        slots = sorted(self._changed)
        plans = [self._plans[slot] for slot in slots]
        num_seen = []
        for slot, plan in zip(slots, plans, strict=True):
            output = self._read_earlier_output(slot) if plan is not None else []
            num_seen.append(len(output))
            if plan is not None:
                self._step.automaton.load(slot, plan, output)
        self._step.automaton.flush()
        self._step.set_seen(slots, plans, num_seen)
        self._changed.clear()

    def apply(self, logits: torch.Tensor, ctx: LogitsContext) -> torch.Tensor:
        """Read the tokens accepted since the last step and constrain the next ones.

        In place, unless a request's thoughts and answer are sampled apart.

        Args:
            logits: float32 ``[rows, vocab]``: a row for each request, and for each draft token.
            ctx: the step's batch.
        """
        if not self._has_plan[ctx.idx_mapping_np].any():
            return logits
        by_phase = self._sampling.is_wanted(ctx.idx_mapping_np)
        thinking = self._step.run(logits, ctx, tells_phase=by_phase)
        if thinking is None:
            return logits
        return self._sampling.apply(logits, ctx, thinking)

    def _read_earlier_output(self, slot: int) -> list[int]:
        """Return the output tokens of a request resumed after preemption; else an empty list.

        Only such a request waits for the device, the only place that has its tokens.
        """
        start = int(self._history.prompt_len.np[slot])
        end = int(self._history.prefill_len.np[slot])
        if start == end:
            return []
        return [int(token) for token in self._history.all_token_ids.gpu[slot, start:end].tolist()]
