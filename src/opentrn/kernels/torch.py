"""The kernel library as differentiable functions of PyTorch: eager, under torch.compile and in torch.func.grad.

Each takes the arrays of the kernel of that name and its options by name, and gives its first result. Gradients come from
the backward kernels, in the dtypes of what they belong to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from opentrn import kernels
from opentrn.kernels.adamw import adamw_factors
from opentrn.kernels.layers import LAYERS

__all__ = [
    "adamw", "attention", "cross_entropy", "embedding", "layer_norm", "linear", "matmul", "rms_norm", "rotary", "softmax", "swiglu",
]  # fmt: skip


def _function(name: str) -> Callable[..., torch.Tensor]:
    layer = LAYERS[name]

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(options: dict[str, Any], *arrays: Any) -> tuple[torch.Tensor, ...]:
            return layer.results(arrays, options)

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.options, *arrays = inputs
            ctx.mark_non_differentiable(*output[1:])
            ctx.save_for_backward(*layer.kept(arrays, output))

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, *given: torch.Tensor) -> Any:  # type: ignore[override]
            gradients = layer.gradients(given[0], ctx.saved_tensors, ctx.options)
            wanted = zip(gradients, ctx.needs_input_grad[1:], strict=True)
            return None, *[gradient if needed else None for gradient, needed in wanted]

    def function(*args: Any, **options: Any) -> torch.Tensor:
        arrays, options = layer.bound(args, options)
        return Function.apply(options, *arrays)[0]

    Function.__name__ = function.__name__ = function.__qualname__ = name
    function.__doc__ = layer.forward.__doc__
    return function


attention = _function("attention")
cross_entropy = _function("cross_entropy")
embedding = _function("embedding")
layer_norm = _function("layer_norm")
linear = _function("linear")
matmul = _function("matmul")
rms_norm = _function("rms_norm")
rotary = _function("rotary")
softmax = _function("softmax")
swiglu = _function("swiglu")


def adamw(
    parameter: torch.Tensor, gradient: torch.Tensor, first: torch.Tensor, second: torch.Tensor, step: int,
    rate: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, decay: float = 0.01,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """Step `step` (from 1) of AdamW: float32 tensors of one shape -> new parameter, first and second moment; no gradient."""
    factors = torch.tensor(adamw_factors(step, rate, beta1, beta2, decay), dtype=torch.float32)
    with torch.no_grad():
        return kernels.adamw(parameter, gradient, first, second, factors, beta1=beta1, beta2=beta2, eps=eps)
