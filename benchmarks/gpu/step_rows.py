"""Requests in the middle of a thought, in the slots of our V2 adapter.

The adapter is driven through its public interface, as vLLM's runner drives it; on a GPU the token
history is vLLM's own (``RequestState``: pinned host memory that the device reads). No forward
pass: the logits are random. Does not measure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from vllm.config import VllmConfig
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState

from benchmarks.gpu.laws import require
from benchmarks.gpu.markers import ModelMarkers
from thinking.plan import EXTRA_ARGS_KEY, ThinkingPlan
from thinking.sampler.tables import AutomatonTables
from thinking.tracker import ThinkingTracker
from thinking.vllm_plugin.v2 import ThinkingLogitsProcessor

# Slots beyond the rows: an unusual number, by which arrays with one entry a slot are recognised.
SPARE_SLOTS = 3
# The adapter replays resumed requests in Python, at some microseconds a token: the slots of long
# thoughts in many rows are copied from the first one instead.
MAX_REPLAYED_TOKENS = 200_000
FORCED_ABOVE = 100.0  # logits that nothing has forced are far below


@dataclass(frozen=True, slots=True)
class Worker:
    """Resources of a worker process: vLLM's configuration, the model's markers, the device."""

    config: VllmConfig
    markers: ModelMarkers
    device: torch.device


class HostBuffer:
    """Stand-in for the runner's buffers without a GPU: they need pinned memory or Triton."""

    def __init__(self, *shape: int) -> None:
        self.cpu = torch.zeros(shape, dtype=torch.int32)
        self.np, self.gpu = self.cpu.numpy(), self.cpu


def make_history(worker: Worker, num_slots: int, room: int) -> LogitsProcRequestState:
    """Return an empty token history."""
    if worker.device.type != "cuda":
        return LogitsProcRequestState(
            device=worker.device,
            max_num_reqs=num_slots,
            vocab_size=worker.markers.vocab_size,
            all_token_ids=HostBuffer(num_slots, room),
            prompt_len=HostBuffer(num_slots),
            prefill_len=HostBuffer(num_slots),
            total_len=HostBuffer(num_slots),
        )
    from vllm.v1.worker.gpu.states import RequestState

    state = RequestState(
        max_num_reqs=num_slots,
        max_model_len=room,
        max_num_batched_tokens=num_slots,
        num_speculative_steps=0,
        vocab_size=worker.markers.vocab_size,
        device=worker.device,
    )
    return LogitsProcRequestState.from_request_state(state)


class ThinkingRows:
    """Rows that have all written `output` after a prompt of one token.

    `planned` is what they write next, whatever the logits. Invariant: after :meth:`sample` the
    history has one token that the adapter has not seen; :meth:`step` lets it see that one.
    """

    def __init__(
        self,
        worker: Worker,
        num_rows: int,
        plan: ThinkingPlan | None,
        output: Sequence[int],
        planned: Sequence[int],
    ) -> None:
        self.worker, self.num_rows, self.plan = worker, num_rows, plan
        self._output, self._planned = list(output), list(planned)
        num_slots = num_rows + SPARE_SLOTS
        self.num_sampled = 0
        self.history = make_history(worker, num_slots, 1 + len(output) + len(planned))
        self._fill_history()
        self.processor = ThinkingLogitsProcessor(worker.config, self.history)
        self._load_slots(num_slots)
        self.context = self._make_context()
        self.pristine = torch.randn(num_rows, worker.markers.vocab_size, device=worker.device)
        self.logits = self.pristine.clone()

    def sample(self, token_ids: torch.Tensor | None = None) -> None:
        """Let each row take its next token: the planned one, or that of `token_ids` ``[rows]``."""
        history, context = self.history, self.context
        if token_ids is not None:
            position = int(context.pos[0]) + 1
            history.all_token_ids.gpu[: self.num_rows, position] = token_ids.to(torch.int32)
        history.total_len.gpu.add_(1)
        context.pos.add_(1)
        newest = history.all_token_ids.gpu[: self.num_rows].gather(1, context.pos[:, None])
        context.input_ids.copy_(newest[:, 0])
        context.seq_lens_upper_bound_np[:] += 1
        self.num_sampled += 1

    def step(self) -> None:
        """Let the adapter see the newest token and constrain the next one."""
        self.processor.apply(self.logits, self.context)

    def check_ending(self, tracker: ThinkingTracker) -> None:
        """Step on until the thought has ended by its budget, comparing every row with `tracker`.

        Raises:
            LawError: a row was forced where the tracker forces nothing, or the reverse.
        """
        plan = self.plan
        assert plan is not None  # of cases with a budget
        for token_id in self._output + self._planned[: self.num_sampled]:
            tracker.advance(token_id)
        while tracker.is_hidden:
            # The adapter has seen all tokens but the newest.
            self.logits.zero_()
            self.step()
            self._compare(tracker.forced_token_id)
            forced = tracker.forced_token_id
            token_id = self._planned[self.num_sampled] if forced is None else forced
            self.sample(torch.full((self.num_rows,), token_id, device=self.worker.device))
            tracker.advance(token_id)
        require(tracker.num_hidden <= plan.budget, f"{tracker.num_hidden} hidden of {plan.budget}")

    def _compare(self, forced: int | None) -> None:
        highest, chosen = self.logits.max(dim=1)
        is_forced = highest > FORCED_ABOVE
        right = ~is_forced if forced is None else is_forced & (chosen == forced)
        num_wrong = int((~right).sum())
        require(num_wrong == 0, f"{num_wrong} of {self.num_rows} rows differ: {forced} is forced")

    def _fill_history(self) -> None:
        history, length = self.history, 1 + len(self._output)
        tokens = [self.worker.markers.choose_word_ids()[0], *self._output, *self._planned]
        row = torch.tensor(tokens, dtype=torch.int32, device=self.worker.device)
        history.all_token_ids.gpu[:] = row
        history.prompt_len.np[:] = 1
        history.prefill_len.np[:] = length
        history.total_len.gpu.fill_(length)

    def _load_slots(self, num_slots: int) -> None:
        """Add a request to each row's slot; long ones are replayed once, and copied."""
        length = len(self._output)
        copies = self.plan is not None and self.num_rows * length > MAX_REPLAYED_TOKENS
        if copies:
            self.history.prefill_len.np[1:] = 1
        self._publish()
        extra = None if self.plan is None else {EXTRA_ARGS_KEY: self.plan.to_dict()}
        for slot in range(self.num_rows):
            self.processor.add_request(slot, SimpleNamespace(extra_args=extra))
        self.processor.apply_staged_writes()
        if copies:
            self.history.prefill_len.np[:] = 1 + length
            self._publish()
            for array in find_slot_arrays(self.processor, num_slots):
                copy_first_slot(array, num_slots, self.num_rows)

    def _publish(self) -> None:
        if self.worker.device.type == "cuda":
            self.history.prompt_len.copy_to_uva()
            self.history.prefill_len.copy_to_uva()

    def _make_context(self) -> LogitsContext:
        rows, device = self.num_rows, self.worker.device
        slots = np.arange(rows, dtype=np.intp)
        index = torch.from_numpy(slots).to(device)
        last = len(self._output)
        return LogitsContext(
            expanded_idx_mapping=index,
            idx_mapping=index,
            idx_mapping_np=slots,
            expanded_local_pos=torch.zeros(rows, dtype=torch.int32, device=device),
            input_ids=self.history.all_token_ids.gpu[:rows, last].clone(),
            pos=torch.full((rows,), last, dtype=torch.int64, device=device),
            seq_lens_upper_bound_np=np.full(rows, last + 1, dtype=np.int32),
        )


def find_slot_arrays(root: object, num_slots: int) -> Iterator[Any]:
    """Yield the arrays below `root` that have one entry a slot (and perhaps a scratch slot).

    Looks into our own objects and into containers, not into vLLM's, whose token history it must
    leave alone, nor into the model's tables. Knows no attribute by name: the adapter may change.
    """
    seen: set[int] = set()
    waiting: list[object] = [root]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, AutomatonTables):
            continue
        seen.add(id(item))
        if isinstance(item, torch.Tensor | np.ndarray):
            if _find_slot_axis(item, num_slots) is not None:
                yield item
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
        elif type(item).__module__.startswith("thinking."):
            names = [*getattr(item, "__dict__", ()), *getattr(type(item), "__slots__", ())]
            waiting.extend(getattr(item, name, None) for name in names)


def copy_first_slot(array: Any, num_slots: int, num_rows: int) -> None:
    """Copy the entry of the first slot to those of all rows, in place."""
    axis = _find_slot_axis(array, num_slots)
    assert axis is not None  # see `find_slot_arrays`
    if isinstance(array, np.ndarray):
        by_slot = np.moveaxis(array, axis, 0)
        by_slot[1:num_rows] = by_slot[0]
    elif num_rows > 1:
        first = array.narrow(axis, 0, 1).clone()
        array.narrow(axis, 1, num_rows - 1).copy_(
            first.expand_as(array.narrow(axis, 1, num_rows - 1))
        )


def _find_slot_axis(array: Any, num_slots: int) -> int | None:
    sizes = list(array.shape)
    return next((n for n, size in enumerate(sizes) if size in (num_slots, num_slots + 1)), None)
