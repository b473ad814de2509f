"""Thoughts and answers sampled apart by Triton kernels, ours and vLLM's, also after drafts."""

import random
from pathlib import Path

import pytest
import torch
from vllm.v1.sample.ops import topk_topp_sampler

from tests.server.conftest import PROFILES
from tests.thinking.vllm_plugin.fused.test_warm_up import Recorder
from tests.thinking.vllm_plugin.runners import worker_config
from tests.thinking.vllm_plugin.v2_sampling import PhaseRunner, churn_phases
from thinking.sampler.constraints import FORCED
from thinking.sampler.fused import greedy
from thinking.vllm_plugin.v2_steps import FusedStepOnRunner

NUM_STEPS = 25
PROFILE = PROFILES["special markers"]


def limit_rows(
    logits: torch.Tensor, k: torch.Tensor | None, p: torch.Tensor | None
) -> torch.Tensor:
    """Do what vLLM's kernel for GPUs does: it does not wait, and leaves rows without limits alone.

    On a CPU vLLM has another function in its place, which may do both.
    """
    if k is None and p is None:
        return logits
    everywhere = torch.zeros(len(logits), dtype=torch.bool)
    by_k = everywhere if k is None else k < logits.shape[1]
    by_p = everywhere if p is None else p < 1.0
    limited = topk_topp_sampler.apply_top_k_top_p_pytorch(logits.clone(), k, p)
    return torch.where((by_k | by_p)[:, None], limited, logits)


@pytest.mark.parametrize("num_drafts", [0, 3])
def test_each_row_gets_what_its_next_tokens_phase_says(
    tmp_path: Path, num_drafts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A draft may lead from a thought to the answer: its rows are sampled differently."""
    monkeypatch.setattr(topk_topp_sampler, "apply_top_k_top_p", limit_rows)
    kernel = Recorder(greedy.greedy_kernel)
    monkeypatch.setattr(greedy, "greedy_kernel", kernel)
    runner = PhaseRunner(worker_config(tmp_path, PROFILE, num_drafts))
    assert isinstance(runner.processor._step, FusedStepOnRunner)
    assert len(kernel.binaries) == 1
    assert churn_phases(runner, PROFILE, random.Random(4), NUM_STEPS) > 20
    # None is compiled while a request waits.
    assert len(kernel.binaries) == 1


def test_the_first_of_equally_likely_tokens_is_taken_in_greedy_rows_only() -> None:
    """At sizes around the kernel's block, as vLLM's own kernel takes it."""
    for size in (1, 5, 4096, 4097, 9000):
        generator = torch.Generator().manual_seed(size)
        logits = torch.randint(-3, 3, (4, size), generator=generator).float()
        before = logits.clone()
        greedy.force_likeliest(logits, torch.tensor([0, 1, 1, 0]), torch.tensor([0.0, 0.7]))
        for row, is_greedy in enumerate((True, False, False, True)):
            if is_greedy:
                best = int((before[row] == before[row].max()).nonzero()[0])
                assert logits[row, best] == FORCED
                logits[row, best] = before[row, best]
            assert torch.equal(logits[row], before[row])
