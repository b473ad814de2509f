"""vLLM's C++ kernels for the small operators of a layer, on CPUs too.

On a CPU vLLM 0.32 computes norms and activations with torch operations, for a compiler to fuse;
without one (``enforce_eager``) these are a fifth of a step of a small model. Its CPU build has
kernels for them that nothing calls. They are added here through vLLM's own extension points:
implementations of its IR operators, and an out-of-tree class of a custom operator. Knows no model.
"""

import torch
import vllm._custom_ops  # noqa: F401  loads the kernels
from vllm import ir
from vllm.model_executor.custom_op import CustomOp
from vllm.model_executor.layers.activation import SiluAndMul
from vllm.platforms import current_platform

PROVIDER = "thinking_server"
NORMS = ("rms_norm", "fused_add_rms_norm")
NORM_PRIORITY = {name: [PROVIDER] for name in NORMS}  # vLLM's ``ir_op_priority``


def register_cpu_kernels() -> bool:
    """Register the kernels in this process; return whether vLLM runs on a CPU and has them.

    The activation's is used by every model that is built later, unless a compiler is to fuse it;
    those of the norms only if :data:`NORM_PRIORITY` is in vLLM's configuration.
    """
    if not current_platform.is_cpu():
        return False
    if not all(hasattr(torch.ops._C, name) for name in (*NORMS, "silu_and_mul")):
        return False
    if PROVIDER in ir.ops.rms_norm.impls:
        return True
    ir.ops.rms_norm.register_impl(PROVIDER, supports_args=_suits_norm)(_rms_norm)
    ir.ops.fused_add_rms_norm.register_impl(
        PROVIDER, supports_args=_suits_fused_norm, inplace=True
    )(_fused_add_rms_norm)
    CustomOp.register_oot(_SiluAndMulKernel, name=SiluAndMul.__name__)
    return True


def _suits_norm(
    x: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> bool:
    plain = variance_size is None and weight is not None and weight.dtype == x.dtype
    return plain and x.is_contiguous()


def _suits_fused_norm(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> bool:
    return _suits_norm(x, weight, epsilon, variance_size) and x_residual.is_contiguous()


def _rms_norm(
    x: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> torch.Tensor:
    out = torch.empty_like(x)
    torch.ops._C.rms_norm(out, x, weight, epsilon)
    return out


def _fused_add_rms_norm(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    torch.ops._C.fused_add_rms_norm(x, x_residual, weight, epsilon)
    return x, x_residual


class _SiluAndMulKernel(SiluAndMul):
    """``silu(x[..., :d]) * x[..., d:]`` in one kernel."""

    def forward_cpu(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.empty((*x.shape[:-1], x.shape[-1] // 2), dtype=x.dtype)
        torch.ops._C.silu_and_mul(out, x)
        return out
