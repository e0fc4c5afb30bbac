"""The package `neuronxcc`, of which `neuronxcc.nki` is `opentrn.nki.beta1`; there is no compiler here."""

from __future__ import annotations

__all__: list[str] = []
__version__ = "2.21.0"
