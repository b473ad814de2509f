"""vLLM's own V1 sampler around our processors, on CPU: a batch whose requests come and go.

A toy model gives the logits, from a request's last tokens alone. Each request has a tracker and a
generator of its own, so its reply does not depend on what else is in the batch.
"""

import random
from dataclasses import dataclass, field
from typing import Any

import torch
from vllm import SamplingParams
from vllm.platforms import current_platform
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessors
from vllm.v1.sample.logits_processor.builtin import MinPLogitsProcessor
from vllm.v1.sample.metadata import SamplingMetadata
from vllm.v1.sample.sampler import Sampler

from tests.server.conftest import VOCAB_SIZE
from tests.thinking.vllm_plugin.runners import WorkerConfig
from thinking.phase_sampling import PhaseSampling, SamplingByPhase
from thinking.plan import ThinkingPlan
from thinking.sampler.nucleus import Nucleus
from thinking.tracker import ThinkingTracker
from thinking.tracker_state import TrackerTables
from thinking.vllm_plugin.nucleus import NucleusLogitsProcessor, to_extra_args
from thinking.vllm_plugin.phase_sampling import PhaseSamplingLogitsProcessor
from thinking.vllm_plugin.v1 import ThinkingLogitsProcessor

CPU = torch.device("cpu")
current_platform.import_kernels()


def predict(output: list[int], seed: int = 0) -> torch.Tensor:
    """Return the logits (``[vocab]``) of the toy model after `output`."""
    generator = torch.Generator().manual_seed(abs(hash((seed, *output[-2:]))) % 2**60)
    logits: torch.Tensor = 3 * torch.randn(VOCAB_SIZE, generator=generator)
    return logits


@dataclass(eq=False, slots=True)
class Sampled:
    """A request; `sampling` of one kind for all of its tokens, or by phase."""

    plan: ThinkingPlan
    tables: TrackerTables
    sampling: PhaseSampling | SamplingByPhase
    seed: int | None = None
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    swaps: bool = False  # vLLM's own parameters are replaced in each step, by the next phase's
    output: list[int] = field(default_factory=list)
    thinking: list[bool] = field(default_factory=list)  # of each token: sampled in a thought
    tracker: ThinkingTracker = field(init=False)
    generator: torch.Generator | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.tracker = ThinkingTracker(self.tables, self.plan)
        if self.seed is not None:
            self.generator = torch.Generator().manual_seed(self.seed)

    @property
    def own(self) -> PhaseSampling:
        """The parameters that vLLM has for this request in the next step."""
        if isinstance(self.sampling, PhaseSampling):
            return self.sampling
        if self.swaps:
            return self.sampling.thought if self.tracker.is_thinking else self.sampling.answer
        return PhaseSampling()

    @property
    def params(self) -> SamplingParams:
        """Parameters as the engine sends them to a worker on the CPU."""
        own = self.own
        extra: dict[str, Any] = {"thinking": self.plan.to_dict()}
        if isinstance(self.sampling, SamplingByPhase) and not self.swaps:
            extra |= self.sampling.to_extra_args()
        extra |= to_extra_args(Nucleus(own.top_k, own.top_p))
        return SamplingParams(temperature=own.temperature, min_p=own.min_p, extra_args=extra)

    def take(self, token_id: int) -> None:
        """Record a sampled token."""
        forced = self.tracker.forced_token_id
        assert forced in (None, token_id)
        self.thinking.append(self.tracker.is_thinking)
        self.tracker.advance(token_id)
        self.output.append(token_id)
        assert self.tracker.num_hidden <= self.plan.budget


class SamplingBatch:
    """A persistent batch with vLLM's sampler and our processors."""

    def __init__(self, config: WorkerConfig) -> None:
        processors = (
            MinPLogitsProcessor,
            ThinkingLogitsProcessor,
            PhaseSamplingLogitsProcessor,
            NucleusLogitsProcessor,
        )
        self.processors = LogitsProcessors([make(config, CPU, False) for make in processors])
        self.sampler = Sampler()
        self.rows: list[Sampled] = []

    def set_rows(self, rows: list[Sampled]) -> None:
        """Replace the batch: each request is added anew, as after a preemption."""
        removed = list(range(len(rows), len(self.rows)))
        added = [(row, r.params, [1], r.output) for row, r in enumerate(rows)]
        self.rows = rows
        update = BatchUpdate(len(rows), removed=removed, added=added, moved=[])
        for processor in self.processors.all:
            processor.update_state(update)

    def step(self, logits: torch.Tensor | None = None) -> torch.Tensor:
        """Sample a token of each row, and return the tokens; the rows do not take them."""
        if any(row.swaps for row in self.rows):
            self.set_rows(self.rows)
        else:
            for processor in self.processors.all:
                processor.update_state(None)
        if logits is None:
            logits = torch.stack([predict(row.output) for row in self.rows])
        sampled: torch.Tensor = self.sampler(logits, self._describe()).sampled_token_ids
        return sampled[:, 0]

    def run(self, num_steps: int) -> None:
        """Let each row take the tokens of so many steps."""
        for _ in range(num_steps):
            for row, token_id in zip(self.rows, self.step().tolist(), strict=True):
                row.take(token_id)

    def _describe(self) -> SamplingMetadata:
        rows = self.rows
        owns = [row.own for row in rows]
        generators = {
            place: row.generator for place, row in enumerate(rows) if row.generator is not None
        }
        return SamplingMetadata(
            temperature=torch.tensor([own.temperature for own in owns]),
            all_greedy=all(own.is_greedy for own in owns),
            all_random=not any(own.is_greedy for own in owns),
            top_p=None,
            top_k=None,
            generators=generators,
            max_num_logprobs=None,
            no_penalties=False,
            prompt_token_ids=torch.full((len(rows), 1), 1),
            frequency_penalties=torch.tensor([row.frequency_penalty for row in rows]),
            presence_penalties=torch.zeros(len(rows)),
            repetition_penalties=torch.tensor([row.repetition_penalty for row in rows]),
            output_token_ids=[row.output for row in rows],
            allowed_token_ids_mask=None,
            bad_words_token_ids={},
            logitsprocs=self.processors,
        )


def draw_phase(rng: random.Random) -> PhaseSampling:
    """Return any sampling parameters."""
    temperature = rng.choice((0.0, 0.3, 1.0, 1.7))
    if temperature == 0.0:
        return PhaseSampling(0.0)
    return PhaseSampling(
        temperature,
        top_p=rng.choice((1.0, 0.4, 0.9)),
        top_k=rng.choice((0, 1, 3, 40)),
        min_p=rng.choice((0.0, 0.05, 0.5)),
    )
