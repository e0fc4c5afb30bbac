"""Which kernels belong together: a forward kernel, its gradient, and what is kept for it. `torch` and `jax` read this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from opentrn import kernels

__all__ = ["LAYERS", "Layer"]


@dataclass(frozen=True)
class Layer:
    """A differentiable function. `takes` names its arrays, `gives` its results (the first one has a gradient).

    `backward` is called with the gradient of the first result, the arrays and results that `saves` names, and the options
    of the call; it gives the gradients of the first arrays, and the others have none.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    takes: str
    gives: str
    saves: str

    def bound(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arrays of a call, None for one that is not given, and its options."""
        names = self.takes.split()
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        if len(args) > len(names):
            raise TypeError(f"{len(args)} arguments where {', '.join(names)} are expected; options go by name")
        return [given.pop(name, None) for name in names], given

    def results(self, arrays: Sequence[Any], options: dict[str, Any]) -> tuple[Any, ...]:
        """Launch the forward kernel."""
        results = self.forward(*arrays, **options)
        return results if isinstance(results, tuple) else (results,)

    def kept(self, arrays: Sequence[Any], results: Sequence[Any]) -> list[Any]:
        """What the gradient needs."""
        named = dict(zip(self.takes.split() + self.gives.split(), [*arrays, *results], strict=True))
        return [named[name] for name in self.saves.split()]

    def gradients(self, given: Any, kept: Sequence[Any], options: dict[str, Any]) -> list[Any]:
        """Launch the backward kernel: one gradient for each array, None where it has none."""
        made = self.backward(given, *kept, **options)
        found = list(made) if isinstance(made, tuple) else [made]
        return found + [None] * (len(self.takes.split()) - len(found))


def _matmul_backward(
    dy: Any, lhs: Any, rhs: Any, transpose_lhs: bool = False, transpose_rhs: bool = False
) -> tuple[Any, Any]:
    """The gradients are products too, each in the form in which its matrix was given."""
    left = (rhs, dy, transpose_rhs, True) if transpose_lhs else (dy, rhs, False, not transpose_rhs)
    right = (dy, lhs, True, transpose_lhs) if transpose_rhs else (lhs, dy, not transpose_lhs, False)
    return kernels.matmul(*left), kernels.matmul(*right)


def _rotary_backward(dy: Any, cosine: Any, sine: Any, backwards: bool = False) -> Any:
    return kernels.rotary(dy, cosine, sine, backwards=not backwards)


def _embedding_backward(dy: Any, table: Any, index: Any) -> Any:
    return kernels.embedding_backward(dy, index, table.shape[0])


LAYERS = {
    "attention": Layer(kernels.attention, kernels.attention_backward, "q k v", "out", "q k v out"),
    "cross_entropy": Layer(
        kernels.cross_entropy, kernels.cross_entropy_backward, "logits labels", "loss norm", "logits labels norm"
    ),
    "embedding": Layer(kernels.embedding, _embedding_backward, "table index", "rows", "table index"),
    "layer_norm": Layer(kernels.layer_norm, kernels.layer_norm_backward, "x weight bias", "y", "x weight"),
    "linear": Layer(kernels.linear, kernels.linear_backward, "x weight bias", "y", "x weight bias"),
    "matmul": Layer(kernels.matmul, _matmul_backward, "lhs rhs", "y", "lhs rhs"),
    "rms_norm": Layer(kernels.rms_norm, kernels.rms_norm_backward, "x weight", "y", "x weight"),
    "rotary": Layer(kernels.rotary, _rotary_backward, "x cosine sine", "y", "cosine sine"),
    "softmax": Layer(kernels.softmax, kernels.softmax_backward, "x", "y", "y"),
    "swiglu": Layer(kernels.swiglu, kernels.swiglu_backward, "x gate up down", "y", "x gate up down"),
}
