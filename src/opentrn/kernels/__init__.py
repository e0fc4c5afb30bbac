"""A library of NKI kernels, forward and backward: what a decoder-only transformer and its training need.

Written in NKI for trn2: inputs in bfloat16 (or float32), sums in float32. Every kernel takes any size that fits its
documented limits, with edge tiles. Each runs on opentrn and, being plain NKI, is meant for the chip as it is.
"""

from __future__ import annotations

from opentrn.kernels.matmul import linear, linear_backward, matmul
from opentrn.kernels.rms_norm import rms_norm, rms_norm_backward

__all__ = ["linear", "linear_backward", "matmul", "rms_norm", "rms_norm_backward"]
