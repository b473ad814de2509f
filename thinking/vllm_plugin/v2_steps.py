"""The step of Model Runner V2: with the fused Triton kernels, or with torch operations.

Both keep the state of the slots in the same automaton. The fused kernels take any number of
draft tokens; the torch operations none. Does not know how requests get their slots.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from vllm.logger import init_logger
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState

from thinking.phase import Phase
from thinking.plan import ThinkingPlan
from thinking.sampler.arrays import TorchArrays
from thinking.sampler.automaton import ThinkingAutomaton
from thinking.sampler.batch import Batch, make_batch
from thinking.sampler.constraints import constrain
from thinking.sampler.row_state import Field
from thinking.sampler.tables import AutomatonTables
from thinking.sampler.transition import advance

if TYPE_CHECKING:
    from thinking.sampler.fused.records import Tokens

logger = init_logger("vllm.thinking_server.sampler")

Plans = Sequence[ThinkingPlan | None]


class Step(Protocol):
    """The step of a batch.

    Invariant: after :meth:`run`, the state of each slot in the batch has seen all of its
    request's tokens in the runner's history.
    """

    automaton: ThinkingAutomaton

    def set_seen(self, slots: Sequence[int], plans: Plans, num_seen: Sequence[int]) -> None:
        """Take note of new requests, and of how many output tokens their state has seen.

        `plans` has an entry for each of `slots`, as has `num_seen`.
        """

    def run(
        self, logits: torch.Tensor, context: LogitsContext, *, tells_phase: bool = False
    ) -> torch.Tensor | None:
        """Read the tokens that were accepted since the last step and constrain the next ones.

        Args:
            logits: float32 ``[rows, vocab]``, changed in place.
            context: the layout of the rows; at least one slot has a plan.
            tells_phase: return the phases.

        Returns:
            Whether each row's next token is sampled inside a thought (bool ``[rows]``; any value
            where its slot has no plan); None unless `tells_phase`.
        """


def make_step(tables: AutomatonTables, history: LogitsProcRequestState, num_drafts: int) -> Step:
    """Return the step for the runner's device: fused, where Triton can compile for it.

    Args:
        tables: of the model, as tensors on the device.
        history: the runner's record of tokens.
        num_drafts: most draft tokens of a request in a step; 0: no speculative decoding.

    Raises:
        RuntimeError: Triton fails, and the torch operations do not take draft tokens.
    """
    try:
        step = FusedStepOnRunner(tables, history, num_drafts)
    except Exception as error:  # whatever Triton, its compiler or the driver raises
        reason = f"{type(error).__name__}: {error}"
        if num_drafts:
            raise RuntimeError(
                "--speculative-config: draft tokens need the sampler's Triton kernels, which "
                f"cannot run here ({reason})"
            ) from error
        logger.warning("Sampler: torch operations, as Triton cannot run here (%s)", reason)
        return TorchStep(tables, history)
    logger.info("Sampler: fused Triton kernels, up to %d draft tokens", num_drafts)
    return step


class FusedStepOnRunner:
    """Fused kernels: one a step; two where a plan needs the whole vocabulary."""

    def __init__(
        self, tables: AutomatonTables, history: LogitsProcRequestState, num_drafts: int
    ) -> None:
        # Only here: the API process loads the adapter too, and has no use for Triton.
        from thinking.sampler.fused import records, step

        kept = step.count_kept_segments(num_drafts)
        self.automaton = ThinkingAutomaton(tables, history.max_num_reqs, history.device, kept)
        self._history = history
        self._fused = step.FusedStep(self.automaton, num_drafts)
        self._make_rows, self._make_tokens = step.Rows, records.Tokens
        self._fused.warm_up(self._get_tokens())
        self._needs_pass: Callable[[ThinkingPlan], bool] = step.needs_pass
        self._passes = np.zeros(history.max_num_reqs, dtype=bool)

    def set_seen(self, slots: Sequence[int], plans: Plans, num_seen: Sequence[int]) -> None:
        """See :class:`Step`."""
        for slot, plan in zip(slots, plans, strict=True):
            self._passes[slot] = plan is not None and self._needs_pass(plan)
        self._fused.set_seen(
            slots, [None if p is None else n for p, n in zip(plans, num_seen, strict=True)]
        )

    def run(
        self, logits: torch.Tensor, context: LogitsContext, *, tells_phase: bool = False
    ) -> torch.Tensor | None:
        """See :class:`Step`."""
        rows = self._make_rows(
            slots=context.expanded_idx_mapping,
            offsets=context.expanded_local_pos,
            input_ids=context.input_ids,
        )
        passes = bool(self._passes[context.idx_mapping_np].any())
        return self._fused.run(
            logits, rows, self._get_tokens(), passes=passes, tells_phase=tells_phase
        )

    def _get_tokens(self) -> "Tokens":
        """Return the runner's record of tokens, anew in each step: it swaps these buffers."""
        history = self._history
        return self._make_tokens(
            ids=history.all_token_ids.gpu,
            prompt_lengths=history.prompt_len.gpu,
            lengths=history.total_len.gpu,
        )


class TorchStep:
    """About a hundred torch operations a step, on one row per request."""

    def __init__(self, tables: AutomatonTables, history: LogitsProcRequestState) -> None:
        num_slots = history.max_num_reqs
        self.automaton = ThinkingAutomaton(tables, num_slots, history.device)
        self._history = history
        self._arrays = TorchArrays(history.device)
        # One more for the automaton's scratch slot.
        self._num_seen = self._arrays.zeros((num_slots + 1,), "int32")
        self._plans: list[ThinkingPlan | None] = [None] * num_slots
        self._batch: Batch | None = None
        self._batch_key = b""

    def set_seen(self, slots: Sequence[int], plans: Plans, num_seen: Sequence[int]) -> None:
        """See :class:`Step`."""
        for slot, plan in zip(slots, plans, strict=True):
            self._plans[slot] = plan
        self._num_seen[self._arrays.put(slots, "int64")] = self._arrays.put(num_seen, "int32")
        self._batch_key = b""

    def run(
        self, logits: torch.Tensor, context: LogitsContext, *, tells_phase: bool = False
    ) -> torch.Tensor | None:
        """See :class:`Step`."""
        slots = context.idx_mapping_np
        if len(logits) != len(slots):
            raise RuntimeError("rows of draft tokens would pass the thinking budget unseen")
        batch = self._get_batch(slots)
        self._catch_up(batch)
        constrain(self.automaton, logits, batch)
        if not tells_phase:
            return None
        phases: torch.Tensor = self.automaton.state[context.idx_mapping, Field.PHASE]
        return phases == Phase.THINKING

    def _get_batch(self, slots: NDArray[np.int32]) -> Batch:
        """Return the rows with a plan; reused while the batch stays the same."""
        key = slots.tobytes()
        if self._batch is None or key != self._batch_key:
            planned = [
                (row, slot, plan)
                for row, slot in enumerate(slots.tolist())
                if (plan := self._plans[slot]) is not None
            ]
            rows, of_rows, plans = zip(*planned, strict=True)
            self._batch = make_batch(rows, of_rows, plans, self._arrays)
            self._batch_key = key
        return self._batch

    def _catch_up(self, batch: Batch) -> None:
        """Feed each slot its last token; a slot whose sample was discarded has none."""
        history, slots = self._history, batch.slots
        position = history.prompt_len.gpu[slots] + self._num_seen[slots]
        fresh = position < history.total_len.gpu[slots]
        token_ids = history.all_token_ids.gpu[slots, torch.where(fresh, position, 0)]
        into = torch.where(fresh, slots, self.automaton.capacity)
        advance(self.automaton, into, token_ids, batch.features)
        self._num_seen[slots] += fresh
