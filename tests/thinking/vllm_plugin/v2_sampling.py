"""A Model Runner V2 whose requests sample thoughts and answers apart, checked row by row.

The expected row is computed by ``thinking.sampler.row_sampling``, which
``test_phase_sampling.py`` holds against vLLM's V1 sampler, from what the thinking sampler alone
leaves of the same logits.
"""

import random
from dataclasses import dataclass, field

import torch
from vllm import SamplingParams
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext

from tests.server.conftest import VOCAB_SIZE
from tests.thinking.vllm_plugin.runners import (
    MAX_REQUESTS,
    RunnerV2,
    Running,
    WorkerConfig,
    tracker_tables,
)
from tests.thinking.vllm_plugin.test_adapters import any_plan
from tests.thinking.vllm_plugin.v1_sampling import draw_phase
from tests.thinking.vllm_plugin.waiting import no_waiting
from thinking.markers.profile import MarkerProfile
from thinking.phase_sampling import PhaseSampling, SamplingByPhase
from thinking.sampler.row_sampling import apply_to_row
from thinking.vllm_plugin import v2

EPSILON = 1e-5  # of probability: sums of float32 in another order


@dataclass(eq=False, slots=True)
class RunningByPhase(Running):
    """A request; `sampling` None: vLLM samples all of its tokens."""

    sampling: SamplingByPhase | None = field(default=None)

    @property
    def params(self) -> SamplingParams:
        """Sampling parameters, as the engine passes them to a worker."""
        extra = {} if self.plan is None else {"thinking": self.plan.to_dict()}
        if self.sampling is not None:
            extra |= self.sampling.to_extra_args()
        return SamplingParams(extra_args=extra)


class PhaseRunner(RunnerV2):
    """Runs each step twice: under the processor, and under one that knows no samplings."""

    def __init__(self, config: WorkerConfig) -> None:
        super().__init__(config)
        self.plain = v2.ThinkingLogitsProcessor(config, self.history)
        self.num_checked = 0

    def _add(self, request: Running) -> None:
        super()._add(request)
        slot = next(slot for slot, other in self.slots.items() if other is request)
        plan = None if request.plan is None else {"thinking": request.plan.to_dict()}
        self.plain.add_request(slot, SamplingParams(extra_args=plan))

    def _run(self, scheduled: list[int], rng: random.Random) -> None:
        self.plain.apply_staged_writes()
        drafts = [self._draft(slot, rng) for slot in scheduled]
        context = self._lay_out(scheduled, drafts)
        generator = torch.Generator().manual_seed(rng.randrange(2**31))
        raw = 3 * torch.randn(len(context.input_ids), VOCAB_SIZE, generator=generator)
        expected = self.plain.apply(raw.clone(), context)
        found = self._apply(raw.clone(), context)
        counts = [len(draft) + 1 for draft in drafts]
        rows = zip(torch.split(expected, counts), torch.split(found, counts), strict=True)
        for slot, draft, (before, after) in zip(scheduled, drafts, rows, strict=True):
            self._check_and_accept(slot, draft, before, after, rng)

    def _apply(self, logits: torch.Tensor, context: LogitsContext) -> torch.Tensor:
        with no_waiting(self.history.device):
            return self.processor.apply(logits, context)

    def _check_and_accept(
        self,
        slot: int,
        draft: list[int],
        before: torch.Tensor,
        after: torch.Tensor,
        rng: random.Random,
    ) -> None:
        """Check the rows of a request while its drafts are accepted, and record the tokens."""
        request = self.slots[slot]
        assert isinstance(request, RunningByPhase)
        for place in range(len(draft) + 1):
            phase = None
            if request.sampling is not None:
                thinks = request.tracker.is_thinking
                phase = request.sampling.thought if thinks else request.sampling.answer
            self._check(before[place], after[place], phase)
            allowed = after[place].softmax(0).nonzero().flatten().tolist()
            token_id = rng.choice(allowed)
            if place < len(draft) and draft[place] in allowed and rng.random() < 0.8:
                token_id = draft[place]
            request.output.append(token_id)
            request.tracker.advance(token_id)
            assert request.tracker.num_hidden <= (request.plan.budget if request.plan else 0)
            length = len(request.prompt) + len(request.output)
            self.history.all_token_ids.gpu[slot, length - 1] = token_id
            self.history.total_len.gpu[slot] = length
            if place == len(draft) or draft[place] != token_id:
                return

    def _check(
        self, before: torch.Tensor, after: torch.Tensor, phase: PhaseSampling | None
    ) -> None:
        if phase is None:
            assert torch.equal(before, after), "a row without samplings was touched"
            return
        apply_to_row(before, phase)
        expected, found = before.softmax(0), after.softmax(0)
        assert int(before.argmax()) == int(after.argmax())
        assert float((expected - found).abs().sum()) < EPSILON
        self.num_checked += 1


def churn_phases(
    runner: PhaseRunner, profile: MarkerProfile, rng: random.Random, num_steps: int
) -> int:
    """Let requests join and leave; return the number of rows that were checked."""
    tables = tracker_tables(profile)
    running: list[Running] = []
    for _ in range(num_steps):
        leave = {request for request in running if request.is_full or rng.random() < 0.03}
        running = [request for request in running if request not in leave]
        join: list[Running] = []
        while len(running) + len(join) < MAX_REQUESTS and rng.random() < 0.6:
            plan = any_plan(profile, rng)
            sampling = None
            if plan is not None and rng.random() < 0.7:
                sampling = SamplingByPhase(draw_phase(rng), draw_phase(rng))
            join.append(RunningByPhase(plan, tables, rng, sampling=sampling))
        runner.step(leave, join, rng)
        running += join
    return runner.num_checked
