"""The sampler as a logits processor of vLLM's Model Runner V2, which runs on GPUs.

Interface: ``vllm/v1/worker/gpu/sample/logits_processor/interface.py``, vLLM 0.32. Tokens
are never copied to the host: they are read from the runner's history on the device. A request
has the same slot here as there. Does not know what a plan means.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from vllm.config import VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.worker.gpu.sample.logits_processor import (
    LogitsContext,
    LogitsProcessor,
    LogitsProcRequestState,
)

from thinking.plan import ThinkingPlan
from thinking.sampler.arrays import TorchArrays
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.batch import Batch, make_batch
from thinking.sampler.constraints import constrain
from thinking.sampler.transition import advance
from thinking.vllm_plugin.worker_config import make_model_tables, read_plan


class ThinkingLogitsProcessor(LogitsProcessor):
    """The worker's logits processor. Slots without a plan are not changed.

    Invariant: after :meth:`apply`, the state of each slot in the batch has seen all of its
    request's tokens in the runner's history.
    """

    def __init__(self, vllm_config: VllmConfig, req_states: LogitsProcRequestState) -> None:
        super().__init__(vllm_config, req_states)
        self._history = req_states
        self._arrays = TorchArrays(req_states.device)
        tables = make_model_tables(vllm_config, self._arrays)
        num_slots = req_states.max_num_reqs
        self._automaton = ThinkingAutomaton(tables, num_slots, req_states.device)
        # One more for the automaton's scratch slot.
        self._num_seen = self._arrays.zeros((num_slots + 1,), "int32")
        self._plans: list[ThinkingPlan | None] = [None] * num_slots
        self._has_plan = np.zeros(num_slots, dtype=bool)
        self._added: set[int] = set()
        self._batch: Batch | None = None
        self._batch_key = b""

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Reject a malformed plan in the API process.

        Raises:
            ValueError: see :meth:`ThinkingPlan.check`.
        """
        read_plan(sampling_params)

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """Assign the slot to a new or resumed request, replacing its contents."""
        plan = read_plan(sampling_params)
        self._plans[req_idx] = plan
        self._has_plan[req_idx] = plan is not None
        self._added.discard(req_idx)
        if plan is not None:
            self._added.add(req_idx)
        self._batch_key = b""
        return plan is not None

    def apply_staged_writes(self) -> None:
        """Copy the state of added requests to the device."""
        if not self._added:
            return
        slots = sorted(self._added)
        outputs = [self._read_earlier_output(slot) for slot in slots]
        for slot, output in zip(slots, outputs, strict=True):
            plan = self._plans[slot]
            assert plan is not None  # only slots with a plan are added
            self._automaton.load(slot, plan, output)
        self._automaton.flush()
        num_seen = self._arrays.put([len(output) for output in outputs], "int32")
        self._num_seen[self._arrays.put(slots, "int64")] = num_seen
        self._added.clear()

    def apply(self, logits: torch.Tensor, ctx: LogitsContext) -> torch.Tensor:
        """Read the tokens sampled since the last step and constrain the next ones, in place.

        Args:
            logits: float32 ``[num_reqs, vocab]``.
            ctx: the step's batch; speculative decoding is rejected at startup.
        """
        slots = ctx.idx_mapping_np
        if not self._has_plan[slots].any():
            return logits
        if len(logits) != len(slots):
            raise RuntimeError("rows of draft tokens would pass the thinking budget unseen")
        batch = self._get_batch(slots)
        self._catch_up(batch)
        constrain(self._automaton, logits, batch)
        return logits

    def _read_earlier_output(self, slot: int) -> list[int]:
        """Return the output tokens of a request resumed after preemption; else an empty list.

        Only such a request waits for the device, the only place that has its tokens.
        """
        start = int(self._history.prompt_len.np[slot])
        end = int(self._history.prefill_len.np[slot])
        if start == end:
            return []
        return [int(token) for token in self._history.all_token_ids.gpu[slot, start:end].tolist()]

    def _get_batch(self, slots: NDArray[np.int32]) -> Batch:
        """Return the rows with a plan; reused while the batch stays the same."""
        key = slots.tobytes()
        if self._batch is None or key != self._batch_key:
            rows = np.flatnonzero(self._has_plan[slots])
            plans = [plan for slot in slots[rows] if (plan := self._plans[slot]) is not None]
            self._batch = make_batch(rows.tolist(), slots[rows].tolist(), plans, self._arrays)
            self._batch_key = key
        return self._batch

    def _catch_up(self, batch: Batch) -> None:
        """Feed each slot its last token; a slot whose sample was discarded has none."""
        history, slots = self._history, batch.slots
        position = history.prompt_len.gpu[slots] + self._num_seen[slots]
        fresh = position < history.total_len.gpu[slots]
        token_ids = history.all_token_ids.gpu[slots, torch.where(fresh, position, 0)]
        into = torch.where(fresh, slots, self._automaton.capacity)
        advance(self._automaton, into, token_ids, batch.features)
        self._num_seen[slots] += fresh
