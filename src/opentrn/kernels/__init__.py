"""A library of NKI kernels, forward and backward: what a decoder-only transformer and its training need.

Written in NKI for trn2: inputs in bfloat16 (or float32), sums in float32. Every kernel takes any size that fits its
documented limits, with edge tiles. Each runs on opentrn and, being plain NKI, is meant for the chip as it is.
"""

from __future__ import annotations

from opentrn.kernels.adamw import adamw
from opentrn.kernels.attention import attention
from opentrn.kernels.attention_backward import attention_backward
from opentrn.kernels.cross_entropy import cross_entropy, cross_entropy_backward
from opentrn.kernels.embedding import embedding, embedding_backward
from opentrn.kernels.layer_norm import layer_norm, layer_norm_backward
from opentrn.kernels.matmul import linear, linear_backward, matmul
from opentrn.kernels.rms_norm import rms_norm, rms_norm_backward
from opentrn.kernels.rotary import rotary
from opentrn.kernels.softmax import softmax, softmax_backward
from opentrn.kernels.swiglu import swiglu, swiglu_backward

__all__ = [
    "adamw", "attention", "attention_backward", "cross_entropy", "cross_entropy_backward", "embedding", "embedding_backward",
    "layer_norm", "layer_norm_backward", "linear", "linear_backward", "matmul", "rms_norm", "rms_norm_backward", "rotary",
    "softmax", "softmax_backward", "swiglu", "swiglu_backward",
]  # fmt: skip
