"""Stand-ins for vLLM's two model runners: requests join, move, pause and leave.

They drive the real adapter classes through vLLM's real interface classes (`BatchUpdate`,
`LogitsProcRequestState`, `LogitsContext`), on CPU tensors, as the runners themselves do; V2's with
speculative decoding too. Every request has its own tracker, so that each step can be compared.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig
from vllm import SamplingParams
from vllm.config import ModelConfig
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcRequestState

from tests.server.conftest import TOKENIZER, VOCAB_SIZE
from tests.thinking.vllm_plugin.waiting import no_waiting
from thinking.markers.boundaries import find_boundary_token_ids
from thinking.markers.profile import MarkerProfile
from thinking.plan import ThinkingPlan
from thinking.sampler.constraints import FORCED
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables
from thinking.vllm_plugin import v1, v2
from thinking.vllm_plugin.worker_config import count_draft_tokens

MAX_REQUESTS = 6
MAX_MODEL_LEN = 400
NEW, SAMPLED, DISCARDED = range(3)


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """The part of a ``VllmConfig`` that the adapters read, with a real model config."""

    model_config: ModelConfig
    additional_config: dict[str, Any]
    scheduler_config: Any = field(default_factory=lambda: Scheduler())
    speculative_config: Any = None


@dataclass(frozen=True, slots=True)
class Scheduler:
    """The part of a ``SchedulerConfig`` that the adapters read."""

    max_num_seqs: int = MAX_REQUESTS


@dataclass(frozen=True, slots=True)
class _Speculation:
    num_speculative_tokens: int


def worker_config(folder: Path, profile: MarkerProfile, num_drafts: int = 0) -> WorkerConfig:
    """Return the configuration of a model that has a tokenizer and no weights."""
    shape = {"hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 1}
    config = LlamaConfig(vocab_size=VOCAB_SIZE, architectures=["LlamaForCausalLM"], **shape)
    config.save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return WorkerConfig(
        ModelConfig(model=str(folder)),
        {"thinking": profile.to_dict()},
        speculative_config=_Speculation(num_drafts) if num_drafts else None,
    )


@dataclass(eq=False, slots=True)
class Running:
    """A request; `plan` is None if it did not come from our server."""

    plan: ThinkingPlan | None
    tables: TrackerTables
    rng: random.Random
    prompt: list[int] = field(default_factory=lambda: [1, 2, 3])
    output: list[int] = field(default_factory=list)
    tracker: ThinkingTracker = field(init=False)

    def __post_init__(self) -> None:
        self.tracker = ThinkingTracker(self.tables, self.plan or ThinkingPlan())

    @property
    def params(self) -> SamplingParams:
        """Sampling parameters, as the engine passes them to a worker."""
        extra = None if self.plan is None else {"thinking": self.plan.to_dict()}
        return SamplingParams(extra_args=extra)

    @property
    def is_full(self) -> bool:
        """True if the history has no room for another token."""
        return len(self.prompt) + len(self.output) >= MAX_MODEL_LEN - 1

    def sample(self, logits: torch.Tensor) -> int:
        """Check one row of constrained logits (zeros before) and sample a token from it."""
        if self.plan is None:
            assert logits.eq(0).all(), "a row without a plan was touched"
            token_id = self.rng.randrange(VOCAB_SIZE)
        else:
            token_id = self._sample_under_plan(logits)
        self.output.append(token_id)
        return token_id

    def _sample_under_plan(self, logits: torch.Tensor) -> int:
        assert self.plan is not None
        forced, profile = self.tracker.forced_token_id, self.tables.profile
        if logits.max() == FORCED:
            token_id = int(logits.argmax())
            opens = self.tracker.may_open_segment and token_id == profile.segment_signal_id
            at_boundary = self.plan.early_exit is not None and self.tracker.state.at_boundary
            leaves = at_boundary and token_id == profile.exit_stand_in_id
            assert forced == token_id or opens or leaves
        else:
            assert forced is None
            token_id = self.rng.choice(logits.isfinite().nonzero().flatten().tolist())
            # Sample ends often enough for them to be tested.
            interesting = (*profile.end_token_ids, profile.eos_stand_in_id)
            end = self.rng.choice(interesting)
            if self.rng.random() < 0.2 and logits[end].isfinite():
                token_id = end
        self.tracker.advance(token_id)
        assert self.tracker.num_hidden <= self.plan.budget
        return token_id


def tracker_tables(profile: MarkerProfile) -> TrackerTables:
    return TrackerTables(profile, find_boundary_token_ids(TOKENIZER))


class RunnerV1:
    """A persistent batch, condensed and reordered as vLLM's ``InputBatch`` does."""

    def __init__(self, config: WorkerConfig) -> None:
        cpu = torch.device("cpu")
        self.processor = v1.ThinkingLogitsProcessor(config, cpu, False)
        self.batch: list[Running] = []

    def step(self, leave: set[Running], join: list[Running], rng: random.Random) -> None:
        """Run one step of the engine; some samples are discarded."""
        self.processor.update_state(self._update(leave, join, rng))
        logits = self.processor.apply(torch.zeros(len(self.batch), VOCAB_SIZE))
        for row, request in enumerate(self.batch):
            if rng.random() < 0.9:
                request.sample(logits[row])

    def _update(
        self, leave: set[Running], join: list[Running], rng: random.Random
    ) -> BatchUpdate | None:
        rows: dict[int, Running] = dict(enumerate(self.batch))
        removed = sorted(row for row, request in rows.items() if request in leave)
        added, moved = [], []
        for request in join:
            row = removed.pop(0) if removed else len(rows)
            rows[row] = request
            added.append((row, request.params, request.prompt, request.output))
        for row in removed:
            del rows[row]
        for hole in removed:
            last = max(rows, default=-1)
            if last > hole:
                rows[hole] = rows.pop(last)
                moved.append((last, hole, MoveDirectionality.UNIDIRECTIONAL))
        if len(rows) > 1 and rng.random() < 0.3:
            a, b = rng.sample(range(len(rows)), 2)
            rows[a], rows[b] = rows[b], rows[a]
            moved.append((a, b, MoveDirectionality.SWAP))
        self.batch = [rows[row] for row in range(len(rows))]
        if not (removed or added or moved):
            return None
        return BatchUpdate(len(rows), removed=removed[::-1], added=added, moved=moved)


class HistoryBuffer:
    """The part of the runner's buffers that a processor reads: one int32 array, twice.

    The runner's own buffers need pinned memory, or a Triton kernel to be filled.
    """

    def __init__(self, shape: tuple[int, ...], device: torch.device) -> None:
        self.np = np.zeros(shape, dtype=np.int32)
        self.gpu = torch.zeros(shape, dtype=torch.int32, device=device)


class RunnerV2:
    """Slots with the token history on the "device"; a step's batch is any subset of them."""

    def __init__(self, config: WorkerConfig, device: torch.device | None = None) -> None:
        device = device or torch.device("cpu")
        history = (MAX_REQUESTS, MAX_MODEL_LEN)
        self.history = LogitsProcRequestState(
            device=device,
            max_num_reqs=MAX_REQUESTS,
            vocab_size=VOCAB_SIZE,
            all_token_ids=HistoryBuffer(history, device),
            prompt_len=HistoryBuffer((MAX_REQUESTS,), device),
            prefill_len=HistoryBuffer((MAX_REQUESTS,), device),
            total_len=HistoryBuffer((MAX_REQUESTS,), device),
        )
        self.processor = v2.ThinkingLogitsProcessor(config, self.history)
        self.slots: dict[int, Running] = {}
        self.num_drafts = count_draft_tokens(config)

    def step(self, leave: set[Running], join: list[Running], rng: random.Random) -> None:
        """Run one step; slots are reused last in, first out, as by vLLM's free list."""
        for slot in [slot for slot, request in self.slots.items() if request in leave]:
            del self.slots[slot]
        for request in join:
            self._add(request)
        self.processor.apply_staged_writes()
        scheduled = [slot for slot in self.slots if rng.random() < 0.8]
        rng.shuffle(scheduled)
        if scheduled:
            self._run(scheduled, rng)

    def _add(self, request: Running) -> None:
        slot = next(slot for slot in reversed(range(MAX_REQUESTS)) if slot not in self.slots)
        self.slots[slot] = request
        tokens = request.prompt + request.output
        history = self.history
        for buffer, value in (
            (history.prompt_len, len(request.prompt)),
            (history.prefill_len, len(tokens)),
        ):
            buffer.np[slot] = value
            buffer.gpu[slot] = value
        self.processor.add_request(slot, request.params)
        history.all_token_ids.gpu[slot, : len(tokens)] = torch.tensor(tokens, dtype=torch.int32)
        history.total_len.gpu[slot] = len(tokens)

    def _run(self, scheduled: list[int], rng: random.Random) -> None:
        drafts = [self._draft(slot, rng) for slot in scheduled]
        context = self._lay_out(scheduled, drafts)
        device = self.history.device
        logits = torch.zeros(len(context.input_ids), VOCAB_SIZE, device=device)
        with no_waiting(device):
            logits = self.processor.apply(logits, context)
        rows = torch.split(logits.cpu(), [len(draft) + 1 for draft in drafts])
        for slot, draft, own_rows in zip(scheduled, drafts, rows, strict=True):
            if rng.random() < 0.1:
                continue  # a prompt that is read in chunks: its sample is discarded
            self._accept(slot, draft, own_rows)

    def _draft(self, slot: int, rng: random.Random) -> list[int]:
        """Return what a drafter might propose: the tokens that are due, then any."""
        request = self.slots[slot]
        room = MAX_MODEL_LEN - 2 - len(request.prompt) - len(request.output)
        length = min(rng.randint(0, self.num_drafts), room)
        due: tuple[int, ...] = ()
        if request.tracker.forced_token_id is not None and rng.random() < 0.8:
            due = request.tracker.plan.script[request.tracker.state.cursor :]
        return [*due, *(rng.randrange(-1, VOCAB_SIZE) for _ in range(length))][:length]

    def _lay_out(self, scheduled: list[int], drafts: list[list[int]]) -> LogitsContext:
        """Return the rows of a step, as ``prepare_inputs`` of the runner lays them out."""
        device = self.history.device
        slots = np.array(scheduled, dtype=np.int32)
        index = torch.from_numpy(slots).to(device, torch.int64)
        counts = torch.tensor([len(draft) + 1 for draft in drafts], device=device)
        places = [place for draft in drafts for place in range(len(draft) + 1)]
        inputs: list[int] = []
        for slot, draft in zip(scheduled, drafts, strict=True):
            request = self.slots[slot]
            inputs += [(request.prompt + request.output)[-1], *draft]
        return LogitsContext(
            expanded_idx_mapping=index.repeat_interleave(counts),
            idx_mapping=index,
            idx_mapping_np=slots,
            expanded_local_pos=torch.tensor(places, dtype=torch.int32, device=device),
            input_ids=torch.tensor(inputs, dtype=torch.int32, device=device),
            pos=torch.zeros(len(inputs), dtype=torch.int64, device=device),
            seq_lens_upper_bound_np=np.zeros(len(slots), dtype=np.int32),
        )

    def _accept(self, slot: int, draft: list[int], rows: torch.Tensor) -> None:
        """Sample from each row while its sample is what the draft says, and record the samples."""
        request = self.slots[slot]
        for place, row in enumerate(rows):
            token_id = request.sample(row)
            length = len(request.prompt) + len(request.output)
            self.history.all_token_ids.gpu[slot, length - 1] = token_id
            self.history.total_len.gpu[slot] = length
            if place == len(draft) or draft[place] != token_id:
                return
