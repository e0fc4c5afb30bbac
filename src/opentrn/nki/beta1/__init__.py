"""`neuronxcc.nki`: the older dialect of NKI (beta 1, SDK 2.20 to 2.26) as a front end.

It records the same instructions as `opentrn.nki`; nothing below `nki/` knows it. See docs/beta1.md.
"""

from __future__ import annotations

from opentrn.nki.beta1 import arithmetic, compiler, isa, language, typing
from opentrn.nki.beta1.benchmark import benchmark, profile
from opentrn.nki.beta1.kernel import baremetal, jit, simulate_kernel, trace
from opentrn.nki.beta1.tensor import Tensor as tensor

assert arithmetic  # imported for what it adds to Tensor

__all__ = [
    "baremetal", "benchmark", "compiler", "isa", "jit", "language", "profile", "simulate_kernel", "tensor", "trace", "typing",
]  # fmt: skip
