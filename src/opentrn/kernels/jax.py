"""The kernel library as differentiable functions of JAX: eager, under jax.jit and in jax.grad.

Each takes the arrays of the kernel of that name and its options by name, and gives its first result. Gradients come from
the backward kernels, in the dtypes of what they belong to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from opentrn import kernels
from opentrn.kernels.adamw import adamw_factors
from opentrn.kernels.layers import LAYERS

__all__ = [
    "adamw", "attention", "cross_entropy", "embedding", "layer_norm", "linear", "matmul", "rms_norm", "rotary", "softmax", "swiglu",
]  # fmt: skip


def _function(name: str) -> Callable[..., jax.Array]:
    layer = LAYERS[name]

    def function(*args: Any, **options: Any) -> jax.Array:
        arrays, options = layer.bound(args, options)

        @jax.custom_vjp
        def result(*arrays: Any) -> jax.Array:
            return layer.results(arrays, options)[0]

        def forward(*arrays: Any) -> tuple[jax.Array, Any]:
            results = layer.results(arrays, options)
            return results[0], (layer.kept(arrays, results), [_empty(array) for array in arrays])

        def backward(kept: Any, given: jax.Array) -> tuple[Any, ...]:
            gradients = layer.gradients(given, kept[0], options)
            return tuple(
                None if like is None or made is None else made.astype(like.dtype)
                for made, like in zip(gradients, kept[1], strict=True)
            )

        result.defvjp(forward, backward)
        return result(*arrays)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = layer.forward.__doc__
    return function


def _empty(array: Any) -> Any:
    """The dtype of an array, in a form that JAX keeps for the backward pass."""
    return None if array is None else jnp.zeros(0, array.dtype)


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
    parameter: jax.Array, gradient: jax.Array, first: jax.Array, second: jax.Array, step: Any,
    rate: Any = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8, decay: float = 0.01,
) -> tuple[jax.Array, jax.Array, jax.Array]:  # fmt: skip
    """Step `step` (from 1) of AdamW: float32 arrays of one shape -> new parameter, first and second moment; no gradient.

    `step` and `rate` may be traced: one compiled program serves all steps.
    """
    factors = jnp.stack([jnp.float32(each) for each in adamw_factors(step, rate, beta1, beta2, decay)])
    return kernels.adamw(parameter, gradient, first, second, factors, beta1=beta1, beta2=beta2, eps=eps)
