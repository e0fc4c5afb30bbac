"""softmax and rms_norm."""

from __future__ import annotations

from typing import Any

from opentrn.nki.functions import nisa
from opentrn.nki.language.compose import activated, pair, scalar
from opentrn.nki.language.compute import binary
from opentrn.nki.language.reduce import axes_of, reduced, with_groups
from opentrn.nki.tensor import NkiTensor
from opentrn.program.view import View

__all__ = ["rms_norm", "softmax"]


def softmax(x: View, axis: Any = -1, dtype: Any = None) -> NkiTensor:
    """exp(x - max) / sum over the last free dimension or dimensions, through float32 (nl.softmax, SDK 2.32)."""
    axes = axes_of(x, axis)
    lowered = with_groups("add", x, reduced("maximum", x, axes, "float32", True, negate=True), axes, "float32")
    powers = activated("exp", lowered, "float32")
    total = reduced("add", powers, axes, "float32", True)
    nisa.reciprocal(dst=total, data=total)
    return with_groups("multiply", powers, total, axes, dtype or x.dtype)


def rms_norm(
    x: View, w: View, axis: Any, n: int, epsilon: float = 1e-06, dtype: Any = None, compute_dtype: Any = None
) -> NkiTensor:
    """``x / sqrt(sum(x * x) / n + epsilon) * w``, the sum over `axis`, the last free dimension or dimensions.

    Intermediate tiles have `compute_dtype` (float32 unless given); sums are taken in float32 (nl.rms_norm, SDK 2.32).
    """
    axes, kind = axes_of(x, axis), compute_dtype or "float32"
    total = reduced("add", pair("multiply", x, x, kind), axes, "float32", True)
    scale = scalar(scalar(total, "multiply", 1.0 / n, "float32", "add", float(epsilon)), "rsqrt", None, "float32")
    return binary("multiply", with_groups("multiply", x, scale, axes, kind), w, dtype or x.dtype)
