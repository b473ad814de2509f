"""Milliseconds per step of sampling thoughts apart from answers, on the CPU's V1 runner.

    python -m benchmarks.two_samplers [--rows 32]

One core, 49,152 words. The processor alone: the forward pass, the thinking sampler and vLLM's draw
are not included. "plain" is what vLLM and our processor of top-k and top-p take for requests with
the same parameters for all tokens, measured in the same run.
"""

import argparse
from dataclasses import dataclass
from typing import Any, cast

import torch
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate
from vllm.v1.sample.sampler import Sampler

from benchmarks.sampler import (
    BOUNDARY_ID,
    BUDGET,
    END_ID,
    EXIT_ID,
    STAND_IN_ID,
    START_ID,
    STOP_ID,
    VOCAB_SIZE,
    WORD_ID,
    Step,
    make_output_tokens,
    time_step,
)
from thinking.markers.profile import MarkerProfile, Opening
from thinking.phase_sampling import GREEDY, PhaseSampling, SamplingByPhase
from thinking.plan import make_plan
from thinking.sampler.nucleus import Nucleus
from thinking.tracker_state import TrackerTables
from thinking.vllm_plugin import phase_sampling
from thinking.vllm_plugin.nucleus import NucleusLogitsProcessor, to_extra_args
from thinking.vllm_plugin.phase_sampling import PhaseSamplingLogitsProcessor

CPU = torch.device("cpu")
PROFILE = MarkerProfile(
    "bench", (START_ID,), (END_ID,), Opening.FORCED, (STOP_ID,), STAND_IN_ID, EXIT_ID
)
OTHER = PhaseSampling(0.9)
PHASES = {
    "greedy": GREEDY,
    "temperature 1.5": PhaseSampling(1.5),
    "temperature 0.2, top_p 0.9": PhaseSampling(0.2, top_p=0.9),
    "temperature 1, min_p 0.05": PhaseSampling(1.0, min_p=0.05),
}


@dataclass(frozen=True, slots=True)
class Batch:
    """`num_rows` requests in a thought of 100 tokens, over the same logits in each step."""

    num_rows: int
    logits: torch.Tensor

    def copy_logits(self) -> None:
        """Copy the logits, as each step does before it changes them."""
        self.logits.clone()

    def make_unused_step(self) -> Step:
        """Return what a step takes where no request uses it."""
        processor = PhaseSamplingLogitsProcessor(cast("Any", None), CPU, False)

        def step() -> None:
            processor.update_state(None)
            processor.apply(self.logits)

        return step

    def make_step(self, phase: PhaseSampling) -> Step:
        """Return a step of the processor, for requests that have `phase` for their thoughts."""
        processor = PhaseSamplingLogitsProcessor(cast("Any", None), CPU, False)
        outputs = [make_output_tokens("thinking", 100) for _ in range(self.num_rows)]
        extra: dict[str, Any] = {"thinking": make_plan(PROFILE, BUDGET).to_dict()}
        extra |= SamplingByPhase(phase, OTHER).to_extra_args()
        params = SamplingParams(extra_args=extra)
        added = [(row, params, [WORD_ID], output) for row, output in enumerate(outputs)]
        processor.update_state(BatchUpdate(self.num_rows, removed=(), added=added, moved=()))

        def step() -> None:
            for output in outputs:
                output.append(WORD_ID)
            processor.update_state(None)
            processor.apply(self.logits.clone())

        return step

    def make_plain_step(self, phase: PhaseSampling) -> Step:
        """Return what a step takes for requests that have `phase` for all of their tokens."""
        processor = NucleusLogitsProcessor(cast("Any", None), CPU, False)
        params = SamplingParams(extra_args=to_extra_args(Nucleus(phase.top_k, phase.top_p)))
        added: list[Any] = [(row, params, [], []) for row in range(self.num_rows)]
        processor.update_state(BatchUpdate(self.num_rows, removed=(), added=added, moved=()))
        temperature = torch.full((self.num_rows,), phase.temperature)

        def step() -> None:
            logits = self.logits.clone()
            if phase.is_greedy:
                Sampler.greedy_sample(logits)
                return
            Sampler.apply_temperature(logits, temperature, True)
            if phase.min_p:
                probabilities = logits.softmax(dim=-1)
                least = probabilities.amax(dim=-1, keepdim=True) * phase.min_p
                logits.masked_fill_(probabilities < least, float("-inf"))
            processor.apply(logits)

        return step


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=2.0, help="time spent on one number")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tables = TrackerTables(PROFILE, frozenset({BOUNDARY_ID}))
    # There is no model whose tokenizer they could be made of.
    vars(phase_sampling)["make_tracker_tables"] = lambda config: tables
    generator = torch.Generator().manual_seed(1)
    batch = Batch(
        arguments.rows, 3 * torch.randn((arguments.rows, VOCAB_SIZE), generator=generator)
    )
    copy = time_step(batch.copy_logits, seconds=arguments.seconds)
    unused = time_step(batch.make_unused_step(), seconds=arguments.seconds)
    print(f"| {arguments.rows} rows, their phase | apart, ms | plain, ms |\n|---|---|---|")
    print(f"| not used | {unused:.5f} | |")
    for name, phase in PHASES.items():
        ours = time_step(batch.make_step(phase), seconds=arguments.seconds) - copy
        plain = time_step(batch.make_plain_step(phase), seconds=arguments.seconds) - copy
        print(f"| {name} | {ours:.2f} | {plain:.2f} |")


if __name__ == "__main__":
    main()
