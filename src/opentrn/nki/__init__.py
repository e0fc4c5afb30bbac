"""opentrn's implementation of the public `nki` package (NKI 0.6, SDK 2.32)."""

from __future__ import annotations

from opentrn.nki import builtin, collectives, compiler, dtype, isa, language, typing
from opentrn.nki.kernel import Kernel, jit, simulate
from opentrn.nki.ranks import simulate_ranks
from opentrn.nki.simulator import cpu_simulate

__all__ = [
    "Kernel",
    "builtin",
    "collectives",
    "compiler",
    "cpu_simulate",
    "dtype",
    "isa",
    "jit",
    "language",
    "simulate",
    "simulate_ranks",
    "typing",
]
__version__ = "0.6.0"
