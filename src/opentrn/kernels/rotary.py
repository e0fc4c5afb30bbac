"""Rotary position embedding: pairs of elements turned by angles that depend on the token's position."""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.tiles import ROWS, load, sbuf, shared, spans, store
from opentrn.nki import jit

__all__ = ["rotary"]


@jit
def rotary(x: Any, cosine: Any, sine: Any, backwards: bool = False) -> Any:
    """Turn element d of each head together with element d + D/2: x (T, heads, D), cosine and sine (T, D/2) -> as x.

    ``(a, b) -> (a * cos - b * sin, b * cos + a * sin)``. `backwards` turns the other way, which is the gradient.
    """
    tokens, heads, width = x.shape
    half = width // 2
    out = shared(x.shape, x.dtype)
    for rows in spans(tokens, ROWS):
        tile = load(x[rows, :, :])
        cos, sin = load(cosine[rows, :], x.dtype), load(sine[rows, :], x.dtype)
        wide = cos.expand_dim(1).broadcast(1, heads), sin.expand_dim(1).broadcast(1, heads)
        first, second = tile[:, :, 0:half], tile[:, :, half:width]
        result = sbuf(tile.shape, x.dtype)
        signs = (nl.add, nl.subtract) if backwards else (nl.subtract, nl.add)
        _turn(result[:, :, 0:half], first, second, wide, signs[0])
        _turn(result[:, :, half:width], second, first, wide, signs[1])
        store(out[rows, :, :], result)
    return out


def _turn(dst: Any, kept: Any, other: Any, angles: tuple[Any, Any], sign: Any) -> None:
    """``kept * cos`` with ``other * sin`` added or subtracted."""
    aside = sbuf(kept.shape, dst.dtype)
    nisa.tensor_tensor(dst=dst, data1=kept, data2=angles[0], op=nl.multiply)
    nisa.tensor_tensor(dst=aside, data1=other, data2=angles[1], op=nl.multiply)
    nisa.tensor_tensor(dst=dst, data1=dst, data2=aside, op=sign)
