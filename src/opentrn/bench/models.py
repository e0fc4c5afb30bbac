"""Kernels like those of nki-library that `opentrn.kernels` has not: a mixture of experts, and a norm that quantises."""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.rms_norm import normalised
from opentrn.kernels.swiglu import gated_mlp
from opentrn.kernels.tiles import ROWS, hbm, load, load_row, sbuf, shared, size_of, spans, store
from opentrn.nki import jit

__all__ = ["LARGEST", "experts", "rms_norm_quantised"]

LARGEST = 240.0
"""The largest float8_e4m3 of the chip."""


@jit
def experts(x: Any, tokens: Any, affinity: Any, gate: Any, up: Any, down: Any) -> Any:
    """A mixture of SwiGLU experts: x (T, H) bfloat16, tokens (E, C) int32, affinity (E, C) float32 -> (T, H) float32.

    Expert e, with gate and up (E, H, F) and down (E, F, H), takes the C tokens ``tokens[e]``, no two of them alike; its
    results, each times its affinity, are added to the rows of these tokens.
    """
    out = shared(x.shape, nl.float32)
    for rows in spans(x.shape[0], ROWS):
        nothing = sbuf((size_of(rows), x.shape[1]), nl.float32)
        nisa.memset(dst=nothing, value=0.0)
        store(out[rows, :], nothing)
    for expert in range(tokens.shape[0]):
        gathered, result = hbm((tokens.shape[1], x.shape[1])), hbm((tokens.shape[1], x.shape[1]))
        for rows in spans(tokens.shape[1], ROWS):
            store(gathered[rows, :], load(x.vector_select(0, _column(tokens[expert], rows))))
        gated_mlp(result, gathered, gate[expert], up[expert], down[expert])
        for rows in spans(tokens.shape[1], ROWS):
            chosen = _column(tokens[expert], rows)
            total = load(out.vector_select(0, chosen))
            nisa.scalar_tensor_tensor(
                dst=total,
                data=load(result[rows, :]),
                op0=nl.multiply,
                operand0=_column(affinity[expert], rows),
                op1=nl.add,
                operand1=total,
            )
            nisa.dma_copy(dst=out.vector_select(0, chosen), src=total)
    return out


def _column(vector: Any, rows: slice) -> Any:
    """A part of a vector in HBM, one element on each partition."""
    return load(vector[rows].reshape((size_of(rows), 1)))


@jit
def rms_norm_quantised(x: Any, weight: Any, eps: float = 1e-6) -> tuple[Any, Any]:
    """RMSNorm of x (T, H) by weight (H,), as float8_e4m3 (T, H) and the scale of each row (T, 1) float32.

    A row of the norm is about float8 times scale, where scale is its largest magnitude / 240.
    """
    tokens = x.shape[0]
    out, scales = shared(x.shape, nl.float8_e4m3), shared((tokens, 1), nl.float32)
    row = load_row(weight, min(ROWS, tokens))
    for rows in spans(tokens, ROWS):
        normed = normalised(load(x[rows, :]), row, eps, nl.float32)
        high, low, scale, inverse = [sbuf((size_of(rows), 1), nl.float32) for _ in range(4)]
        nisa.tensor_reduce(dst=high, op=nl.maximum, data=normed, axis=1)
        nisa.tensor_reduce(dst=low, op=nl.minimum, data=normed, axis=1, negate=True)
        nisa.tensor_scalar(dst=scale, data=high, op0=nl.maximum, operand0=low, op1=nl.multiply, operand1=1 / LARGEST)
        nisa.reciprocal(dst=inverse, data=scale)
        quantised = sbuf(normed.shape, nl.float8_e4m3)
        nisa.tensor_scalar(dst=quantised, data=normed, op0=nl.multiply, operand0=inverse)
        store(out[rows, :], quantised)
        store(scales[rows, :], scale)
    return out, scales
