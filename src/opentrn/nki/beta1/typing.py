"""`neuronxcc.nki.typing`: annotations of kernel parameters. They check nothing here."""

from __future__ import annotations

from opentrn.nki.typing import mutable_tensor, tensor

__all__ = ["immutable", "mutable", "mutable_tensor", "tensor"]

mutable, immutable = mutable_tensor, tensor
