"""`neuronxcc.starfish.support.dtype`: casts outside of kernels."""

from __future__ import annotations

from opentrn.nki.beta1.dtypes import NAMES
from opentrn.nki.beta1.language.program import static_cast

__all__ = ["bfloat16", "float8_e4m3", "float8_e5m2", "static_cast"]

bfloat16, float8_e4m3, float8_e5m2 = NAMES["bfloat16"], NAMES["float8_e4m3"], NAMES["float8_e5m2"]
