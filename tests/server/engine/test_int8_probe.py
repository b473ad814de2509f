"""8-bit weights are used only where a child process measured that they are faster."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from server.engine import cpu
from server.engine.cpu import CpuSettings, prefers_int8
from server.engine.int8_probe import MAX_ERROR, compute_error, is_int8_faster, make_full


@pytest.mark.parametrize(
    ("printed", "is_faster"),
    [
        ('{"error": 0.01, "seconds": [[2.0, 1.0], [2.0, 1.0]]}', True),
        ('{"error": 0.01, "seconds": [[2.0, 1.0], [1.0, 2.0]]}', False),
        ('{"error": 0.01, "seconds": [[1.0, 2.0], [2.0, 1.0]]}', False),
        ('{"error": 0.12, "seconds": [[2.0, 1.0], [2.0, 1.0]]}', False),
        ("", False),
        ("nothing", False),
    ],
)
def test_a_probe_decides_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, is_faster: bool
) -> None:
    calls = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        calls.append(options["env"])
        return subprocess.CompletedProcess(command, 0, f"log\n{printed}\n".encode())

    monkeypatch.setattr(subprocess, "run", run)
    for _ in range(2):
        assert is_int8_faster("bfloat16", {"OMP_NUM_THREADS": "2"}, tmp_path) is is_faster
    assert [environ["OMP_NUM_THREADS"] for environ in calls] == ["2"]
    is_int8_faster("bfloat16", {"OMP_NUM_THREADS": "1"}, tmp_path)
    is_int8_faster("float32", {"OMP_NUM_THREADS": "2"}, tmp_path)
    assert len(calls) == 3, "other threads and dtypes are other questions"


def test_a_crash_means_full_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **options: Any) -> None:
        raise subprocess.CalledProcessError(-4, command)

    monkeypatch.setattr(subprocess, "run", run)
    assert not is_int8_faster("bfloat16", {}, tmp_path)


@pytest.mark.parametrize(
    ("given", "is_asked"),
    [
        ({}, True),
        ({"dtype": "auto"}, True),
        ({"dtype": "float32"}, False),
        ({"dtype": "bfloat16"}, False),
        ({"quantization": "compressed-tensors"}, False),
    ],
)
def test_an_operator_who_names_a_dtype_gets_it(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], is_asked: bool
) -> None:
    asked = []

    def probe(dtype: str, environment: dict[str, str]) -> bool:
        asked.append(dtype)
        return True

    monkeypatch.setattr(cpu, "is_int8_faster", probe)
    monkeypatch.setattr(cpu, "choose_cpu_settings", lambda _: CpuSettings({"dtype": "bfloat16"}))
    assert prefers_int8(given) is is_asked
    assert asked == ["bfloat16"] * is_asked


def test_the_probes_layers_compute_a_linear_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM's kernels for float32, as every CPU has them: without AMX."""
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    torch.manual_seed(0)
    weight, x = torch.randn(64, 32), torch.randn(3, 32)
    right = x @ weight.t()
    assert torch.allclose(make_full(weight)(x), right, 1e-4, 1e-4)
    # Without VNNI the kernel is wrong, and the probe refuses it.
    has_vnni = torch.cpu._is_vnni_supported()
    assert (compute_error(torch.float32) < MAX_ERROR) == has_vnni
