"""Data types: plain strings, as they are publicly."""

from __future__ import annotations

from opentrn.numerics.dtypes import DTYPES

DType = str
globals().update({name: name for name in DTYPES})
bool_ = "bool"
__all__ = ["DType", "bool_", *DTYPES]  # pyright: ignore[reportUnsupportedDunderAll]
