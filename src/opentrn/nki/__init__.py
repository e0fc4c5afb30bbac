"""opentrn's implementation of the public `nki` package (NKI 0.6, SDK 2.32)."""

from __future__ import annotations

from opentrn.nki import isa, language
from opentrn.nki.kernel import Kernel, jit, simulate

__all__ = ["Kernel", "isa", "jit", "language", "simulate"]
__version__ = "0.6.0"
