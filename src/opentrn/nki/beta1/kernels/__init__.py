"""`neuronxcc.nki.kernels`: AWS's own kernels, of which nothing is shipped here."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from opentrn.errors import UnsupportedError

__all__: list[str] = []

_MODULES = (
    "allocated_attention", "allocated_fused_linear", "attention", "double_row_matmul", "rmsnorm_quant", "vision",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """A module of this package; any other name would be one of AWS's kernels."""
    if name.startswith("__"):
        raise AttributeError(name)
    if name in _MODULES:
        return import_module(f"opentrn.nki.beta1.kernels.{name}")
    raise UnsupportedError(
        f"{name} of neuronxcc.nki.kernels is a kernel of AWS's, and opentrn ships none of them",
        hint="its public source is github.com/aws-neuron/nki-samples, folder src/nki_samples/reference (until January "
        "2026): import it from a checkout",
    )
