"""The package `neuronxcc`, of which `neuronxcc.nki` is `opentrn.nki.beta1`; there is no compiler here."""

from __future__ import annotations

from opentrn.nki import beta1 as nki

__all__ = ["nki"]
__version__ = "2.21.0"
