"""`neuronxcc.nki.kernels`: AWS's own kernels, of which nothing is shipped here."""

from __future__ import annotations

from opentrn.errors import UnsupportedError

__all__: list[str] = []


def __getattr__(name: str) -> object:
    """Dunder names do not exist; any other is one of AWS's kernels."""
    if name.startswith("__"):
        raise AttributeError(name)
    raise UnsupportedError(
        f"neuronxcc.nki.kernels.{name} is a kernel of AWS's, and opentrn ships none of them",
        hint="their public source is github.com/aws-neuron/nki-samples, folder src/nki_samples/reference (up to January "
        "2026): import it from a checkout",
    )
