"""Compilation of the kernels: at the start, not while a request waits for seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.thinking.vllm_plugin.runners import RunnerV2, worker_config
from tests.thinking.vllm_plugin.test_adapters import churn
from thinking.markers.profile import MarkerProfile
from thinking.sampler.fused import step, step_kernel, vocabulary_kernel

# As `triton.jit` is told of in the kernels' decorators, which the interpreter drops.
NOT_SPECIALIZED = {"num_rows", "passes"}
ALIGNED = 16  # bytes, or a divisor: Triton compiles a binary of its own for arguments that have it


class Recorder:
    """A kernel that takes note of the binaries that its launches would need on a GPU."""

    def __init__(self, kernel: Any) -> None:
        self.kernel, self.binaries = kernel, set[Any]()

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(**arguments: Any) -> None:
            self.binaries.add(tuple(describe(name, value) for name, value in arguments.items()))
            self.kernel[grid](**arguments)

        return launch


def describe(name: str, value: Any) -> Any:
    """Return what Triton compiles for: types, and of integers and addresses what it specializes."""
    if isinstance(value, tuple):
        return tuple(describe("", item) for item in value)
    if isinstance(value, torch.Tensor):
        aligned = name in step_kernel.SLICES or value.data_ptr() % ALIGNED == 0
        return str(value.dtype), aligned
    if name in NOT_SPECIALIZED:
        return type(value).__name__
    return (type(value).__name__, value == 1, value % ALIGNED == 0)


def test_no_request_waits_for_a_compilation(
    tmp_path: Path, profile: MarkerProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = {
        "step_kernel": Recorder(step_kernel.step_kernel),
        "vocabulary_kernel": Recorder(vocabulary_kernel.vocabulary_kernel),
    }
    for name, kernel in kernels.items():
        monkeypatch.setattr(step, name, kernel)
    runner = RunnerV2(worker_config(tmp_path, profile))
    at_start = {name: len(kernel.binaries) for name, kernel in kernels.items()}
    assert churn(runner, profile, num_steps=10) > 1
    assert {name: len(kernel.binaries) for name, kernel in kernels.items()} == at_start
    assert at_start == {"step_kernel": 1, "vocabulary_kernel": 1}
