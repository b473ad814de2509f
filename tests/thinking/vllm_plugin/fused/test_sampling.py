"""Thoughts and answers sampled apart by the fused kernels and vLLM's own, with drafts and without."""

import random
from pathlib import Path

import pytest
import torch

from tests.server.conftest import PROFILES
from tests.thinking.vllm_plugin.runners import worker_config
from tests.thinking.vllm_plugin.v2_sampling import PhaseRunner, churn_phases
from thinking.sampler.constraints import FORCED
from thinking.sampler.fused.greedy import force_likeliest
from thinking.vllm_plugin.v2_steps import FusedStepOnRunner

NUM_STEPS = 25


@pytest.mark.parametrize("num_drafts", [0, 3])
def test_each_row_gets_what_its_next_tokens_phase_says(tmp_path: Path, num_drafts: int) -> None:
    """A draft may lead from a thought to the answer: its rows are sampled by different parameters."""
    runner = PhaseRunner(worker_config(tmp_path, PROFILES["special markers"], num_drafts))
    assert isinstance(runner.processor._step, FusedStepOnRunner)
    assert churn_phases(runner, random.Random(4), NUM_STEPS) > 40


def test_the_first_of_equally_likely_tokens_is_taken_in_greedy_rows_only() -> None:
    """At sizes around the kernel's block, as vLLM's own kernel takes it."""
    for size in (1, 5, 4096, 4097, 9000):
        generator = torch.Generator().manual_seed(size)
        logits = torch.randint(-3, 3, (4, size), generator=generator).float()
        before = logits.clone()
        force_likeliest(logits, torch.tensor([0, 1, 1, 0]), torch.tensor([0.0, 0.7]))
        for row, greedy in enumerate((True, False, False, True)):
            if greedy:
                best = int((before[row] == before[row].max()).nonzero()[0])
                assert logits[row, best] == FORCED
                logits[row, best] = before[row, best]
            assert torch.equal(logits[row], before[row])
