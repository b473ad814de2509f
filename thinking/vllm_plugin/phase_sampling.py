"""The sampling of thoughts and answers as a logits processor of vLLM's V1 runner.

vLLM fixes a request's sampling parameters when it arrives. A request whose thoughts have others
than its answer therefore has neutral ones (temperature 1, all tokens kept), and both of its own in
``extra_args``: here they are applied, to its rows alone, where vLLM would apply its own, after
bias, penalties and the thinking sampler. A request's phase comes from its tokens. Interface:
``vllm/v1/sample/logits_processor/interface.py``, vLLM 0.32. Does not know what a plan means.
"""

from dataclasses import dataclass, field

import torch
from vllm.config import VllmConfig
from vllm.sampling_params import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from thinking.phase_sampling import PhaseSampling, SamplingByPhase, read_sampling_by_phase
from thinking.sampler.arrays import TorchArrays
from thinking.sampler.row_sampling import apply_to_row
from thinking.tracker import ThinkingTracker
from thinking.vllm_plugin.batch_sampling import SamplingColumns, apply_to_rows
from thinking.vllm_plugin.worker_config import make_tracker_tables, read_plan


@dataclass(eq=False, slots=True)
class _Row:
    """A request with two samplings. `output_token_ids` is the runner's own list, which grows."""

    sampling: SamplingByPhase
    tracker: ThinkingTracker
    output_token_ids: list[int]
    num_seen: int = field(default=0)

    def find_phase(self) -> PhaseSampling | None:
        """Return how the next token is sampled; None if it is forced."""
        for token_id in self.output_token_ids[self.num_seen :]:
            self.tracker.advance(token_id)
        self.num_seen = len(self.output_token_ids)
        if self.tracker.forced_token_id is not None:
            return None
        return self.sampling.choose(thinking=self.tracker.is_thinking)


class PhaseSamplingLogitsProcessor(LogitsProcessor):
    """Samples thoughts and answers of the requests that say how. Other rows are not changed."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        self._config = vllm_config
        self._device = device
        self._rows: dict[int, _Row] = {}

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Reject malformed parameters in the API process.

        Raises:
            ValueError: see :func:`read_sampling_by_phase`.
        """
        read_sampling_by_phase(sampling_params.extra_args)

    def is_argmax_invariant(self) -> bool:
        """Return True: greedy rows are vLLM's own, and temperature and penalties come before."""
        return True

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Apply the requests added to, removed from or moved within the batch."""
        process_dict_updates(self._rows, batch_update, self._make_row)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Apply to each row what its next token's phase says.

        Args:
            logits: float32 ``[batch, vocab]``, changed in place. The rows of requests with two
                samplings are at temperature 1.
        """
        if not self._rows:
            return logits
        found = [(row, request.find_phase()) for row, request in self._rows.items()]
        phases = {row: phase for row, phase in found if phase is not None}
        if self._device.type == "cpu":
            # One row after the other: each stays in the cache.
            for row, phase in phases.items():
                apply_to_row(logits[row], phase)
        elif phases:
            columns = SamplingColumns.of(list(phases.values()), logits.shape[1], self._device)
            rows = TorchArrays(self._device).put(list(phases), "int64")
            apply_to_rows(logits, rows, columns)
        return logits

    def _make_row(
        self,
        params: SamplingParams,
        prompt_token_ids: list[int] | None,
        output_token_ids: list[int],
    ) -> _Row | None:
        sampling, plan = read_sampling_by_phase(params.extra_args), read_plan(params)
        if sampling is None or plan is None:
            return None
        tracker = ThinkingTracker(make_tracker_tables(self._config), plan)
        return _Row(sampling, tracker, output_token_ids)
