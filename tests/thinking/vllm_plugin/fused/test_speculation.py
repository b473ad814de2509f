"""Speculative decoding with vLLM's own kernels around the adapter, in Triton's interpreter."""

import random
from pathlib import Path

import pytest

from tests.server.conftest import PROFILES
from tests.thinking.vllm_plugin.fused.vllm_kernels import SpeculatingRunner, predict, use_triton
from tests.thinking.vllm_plugin.runners import MAX_MODEL_LEN, Running, tracker_tables, worker_config
from tests.thinking.vllm_plugin.test_adapters import any_plan
from thinking.sampler.arrays import NumpyArrays
from thinking.sampler.sampler import SamplerRow, ThinkingSampler
from thinking.vllm_plugin.worker_config import make_model_tables

use_triton()
NUM_DRAFTS = 4
NUM_STEPS = 8


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_vllm_accepts_drafts_within_the_laws(tmp_path: Path, temperature: float) -> None:
    """Forced tokens come, counts are exact, and greedy replies are those without speculation."""
    rng, profile = random.Random(5), PROFILES["text markers"]
    config = worker_config(tmp_path, profile, NUM_DRAFTS)
    runner, tables = SpeculatingRunner(config, temperature), tracker_tables(profile)
    join = [Running(any_plan(profile, rng), tables, random.Random(n)) for n in range(2)]
    for step in range(NUM_STEPS):
        runner.step(set(), join if step == 0 else [], rng)
    assert runner.num_accepted_drafts > 3
    if temperature:
        return
    for request in join:
        if request.plan is not None:
            sampler = ThinkingSampler(
                make_model_tables(config, NumpyArrays()), 1, runner.history.device
            )
            output: list[int] = []
            sampler.update({0: SamplerRow(request.plan, output)})
            while len(output) < min(len(request.output), MAX_MODEL_LEN):
                output.append(int(sampler.apply(predict(output)[None])[0].argmax()))
            assert output == request.output
