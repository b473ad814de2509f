"""The C++ kernels that stand in for torch operations on a CPU."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from vllm import ir
from vllm.config import CompilationConfig, VllmConfig, set_current_vllm_config
from vllm.model_executor.layers.activation import SiluAndMul

from server.engine.vllm_cpu_kernels import PROVIDER, register_cpu_kernels
from server.engine.vllm_options import make_config

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-3}


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    assert register_cpu_kernels()
    assert register_cpu_kernels(), "twice, as vLLM may call the hook"


@st.composite
def tensors(draw: st.DrawFn, count: int) -> list[torch.Tensor]:
    shape = (draw(st.integers(1, 5)), 16 * draw(st.integers(1, 9)))
    dtype = draw(st.sampled_from(sorted(TOLERANCE, key=str)))
    torch.manual_seed(draw(st.integers(0, 9)))
    return [torch.randn(shape, dtype=dtype) for _ in range(count)]


def near(got: torch.Tensor, right: torch.Tensor) -> bool:
    tolerance = TOLERANCE[got.dtype]
    return got.dtype == right.dtype and torch.allclose(got, right, tolerance, tolerance)


@given(tensors(2))
def test_norms_are_those_of_vllm(rows: list[torch.Tensor]) -> None:
    x, residual = rows
    weight = torch.rand(x.shape[-1]).to(x.dtype)
    native, ours = (ir.ops.rms_norm.impls[name] for name in ("native", PROVIDER))
    assert ours.supports_all_args or ours.supports_args(x, weight, 1e-5)
    assert near(ours.impl_fn(x, weight, 1e-5), native.impl_fn(x, weight, 1e-5))
    native, ours = (ir.ops.fused_add_rms_norm.impls[name] for name in ("native", PROVIDER))
    right = native.impl_fn(x, residual, weight, 1e-5)
    got = ours.impl_fn(x.clone(), residual.clone(), weight, 1e-5)
    assert all(map(near, got, right))


def test_a_norm_that_the_kernel_cannot_compute_is_left_to_vllm() -> None:
    suits = ir.ops.rms_norm.impls[PROVIDER].supports_args
    x, weight = torch.randn(4, 32), torch.ones(32)
    assert suits(x, weight, 1e-5)
    assert not suits(x, None, 1e-5)
    assert not suits(x, weight.bfloat16(), 1e-5)
    assert not suits(x, weight, 1e-5, 16)
    assert not suits(torch.randn(32, 4).t(), weight, 1e-5)


@given(tensors(1))
def test_the_activation_is_that_of_vllm(rows: list[torch.Tensor]) -> None:
    config = VllmConfig(compilation_config=CompilationConfig(mode=0, custom_ops=["all"]))
    with set_current_vllm_config(config):
        layer = SiluAndMul()
    assert type(layer) is not SiluAndMul
    assert near(layer(rows[0]), SiluAndMul.forward_native(rows[0]))


@pytest.mark.parametrize(
    ("options", "is_first"),
    [
        ({"enforce_eager": True}, True),
        ({"enforce_eager": False}, False),
        ({"enforce_eager": True, "ir_op_priority": {}}, False),
    ],
)
def test_the_norms_are_used_unless_a_compiler_fuses_them_or_the_operator_chose(
    options: dict[str, object], is_first: bool
) -> None:
    model = {"model": "thinker/weights", "dtype": "float32", "kv_cache_memory_bytes": 2**26}
    priority = make_config({**model, **options}).kernel_config.ir_op_priority
    assert (PROVIDER in priority.rms_norm) is (PROVIDER in priority.fused_add_rms_norm) is is_first
