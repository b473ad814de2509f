"""Measures whether 8-bit weights are right and faster than full ones here, in a child process.

They are half or a quarter of the bytes that a token reads, but their kernels need instructions
that not every CPU has, and quantize each layer's input. On a CPU with AVX2 alone the kernel's sums
of products saturate, and its layers are wrong. The child runs vLLM's own kernels, those that a
model's layers would have, for one row and for many. The result is cached. Does not know how it is
used.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch

from server.engine.cpu_probe import get_machine_key
from server.engine.probe_cache import read_results, write_result
from server.hub.int8_weights import quantize_rows
from server.hub.model_cache import get_cache_root

FASTER, NOT_FASTER = "faster", "not faster"
TIMEOUT_SECONDS = 120.0
# Of the embedded model: outputs × inputs of the largest layer, and enough of them that they do
# not stay in a core's own cache.
OUTPUTS, INPUTS, NUM_LAYERS = 3072, 576, 16
ROWS = (1, 32)
ROUNDS = 15
# Relative error of a layer: 1 % where the kernel is right, 12 % where its sums saturate.
MAX_ERROR = 0.03


def is_int8_faster(
    dtype: str, environment: Mapping[str, str], cache_folder: Path | None = None
) -> bool:
    """Return whether layers with 8-bit weights are right, and faster than with `dtype`.

    Alone and in a batch.

    Args:
        environment: variables that the engine's processes will have.
    """
    path = (cache_folder or get_cache_root()) / "int8_probe.json"
    variables = " ".join(f"{name}={value}" for name, value in sorted(environment.items()))
    key = f"{get_machine_key()} | {dtype} | {variables}"
    if (known := read_results(path).get(key)) is None:
        known = FASTER if _try_in_child(dtype, environment) else NOT_FASTER
        write_result(path, key, known)
    return known == FASTER


def _try_in_child(dtype: str, environment: Mapping[str, str]) -> bool:
    """Return what a child found; False if it crashed: then 8-bit weights would crash as well."""
    try:
        child = subprocess.run(
            [sys.executable, "-m", "server.engine.int8_probe", dtype],
            env={**os.environ, **environment},
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=True,
        )
        measured = json.loads(child.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError):
        return False
    is_right = measured["error"] < MAX_ERROR
    return is_right and all(int8 < full for full, int8 in measured["seconds"])


def measure(dtype: torch.dtype) -> list[tuple[float, float]]:
    """Return for each of `ROWS` the median seconds of the layers: full weights, 8-bit weights."""
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    weights = [torch.randn(OUTPUTS, INPUTS) for _ in range(NUM_LAYERS)]
    sides = [[make_full(w) for w in weights], [make_int8(w) for w in weights]]
    results = []
    for rows in ROWS:
        x = torch.randn(rows, INPUTS)
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for layers, times in zip(sides, seconds, strict=True):
                begin = time.perf_counter()
                for layer in layers:
                    layer(x)
                times.append(time.perf_counter() - begin)
        results.append((median(seconds[0]), median(seconds[1])))
    return results


def compute_error(dtype: torch.dtype) -> float:
    """Return the relative error of a layer with 8-bit weights, for inputs of `dtype`."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(64, 32, generator=generator, dtype=torch.float32).to(dtype)
    x = torch.randn(3, 32, generator=generator, dtype=torch.float32).to(dtype)
    right = x.float() @ weight.float().t()
    return float((make_int8(weight)(x).float() - right).norm() / right.norm())


Layer = Callable[[torch.Tensor], torch.Tensor]


def make_full(weight: torch.Tensor) -> Layer:
    """Return a linear layer with full weights, as vLLM runs it."""
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

    layer: Any = torch.nn.Module()
    layer.weight = torch.nn.Parameter(weight.clone(), requires_grad=False)
    dispatch_cpu_unquantized_gemm(layer, remove_weight=False)
    return lambda x: layer.cpu_linear(x, layer.weight, None)


def make_int8(weight: torch.Tensor) -> Layer:
    """Return a linear layer with 8-bit weights (W8A8), as vLLM runs it."""
    from vllm.model_executor.kernels.linear.scaled_mm.cpu import CPUInt8ScaledMMLinearKernel
    from vllm.model_executor.kernels.linear.scaled_mm.ScaledMMLinearKernel import (
        Int8ScaledMMLinearLayerConfig,
    )

    int8, scale = quantize_rows(weight)
    layer: Any = torch.nn.Module()
    layer.weight = torch.nn.Parameter(int8, requires_grad=False)
    layer.weight_scale = torch.nn.Parameter(scale, requires_grad=False)
    layer.bias = layer.input_scale = layer.input_zero_point = layer.azp_adj = None
    layer.logical_widths = [len(weight)]
    config = Int8ScaledMMLinearLayerConfig(
        is_static_input_scheme=False, is_channelwise=True, input_symmetric=True
    )
    names = ["weight", "weight_scale", "input_scale", "input_zero_point", "azp_adj"]
    kernel = CPUInt8ScaledMMLinearKernel(config, names)
    kernel.process_weights_after_loading(layer)
    return lambda x: kernel.apply_weights(layer, x)


if __name__ == "__main__":
    from server.engine.process_hooks import set_up_process

    set_up_process()
    chosen = getattr(torch, sys.argv[1])
    measured = {"seconds": measure(chosen), "error": compute_error(chosen)}
    sys.stdout.write(f"\n{json.dumps(measured)}\n")
