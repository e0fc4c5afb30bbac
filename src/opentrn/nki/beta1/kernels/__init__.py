"""`neuronxcc.nki.kernels`: AWS's own kernels, of which nothing is shipped here."""

from __future__ import annotations

from typing import Any

from opentrn.errors import UnsupportedError

__all__: list[str] = []


def __getattr__(name: str) -> Any:
    """Dunder names do not exist; any other would be one of AWS's kernels."""
    if name.startswith("__"):
        raise AttributeError(name)
    raise UnsupportedError(
        f"{name} of neuronxcc.nki.kernels is a kernel of AWS's, and opentrn ships none of them",
        hint="its public source is github.com/aws-neuron/nki-samples, folder src/nki_samples/reference (until January "
        "2026): import it from a checkout",
    )
