"""iota: generate an affine integer pattern."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.affine import affine_values, in_32_bits, native_pattern, same_count
from opentrn.isa.costs import gpsimd_cost
from opentrn.isa.spec import SBUF, Cost, Native, Use, instruction, into


@instruction(
    operands={"dst": into(SBUF)},
    attributes={
        "pattern": a.pattern,
        "offset": a.integer_or_register,
        "channel_multiplier": a.integer_or_register,
    },
    engines=(enums.engine.gpsimd,),
    page="nki.isa.iota (SDK 2.32)",
)
def iota(dst, pattern, offset=0, channel_multiplier=0, name=None):
    """Write ``offset + partition * channel_multiplier + sum(step * position)`` into ``dst``, an SBUF tile.

    ``pattern`` is ``[[step, num], ...]`` with up to four pairs, outermost first; its nums multiply to the elements per
    partition. Values are 32-bit integers (wrapping), then cast to ``dst``'s dtype. Runs on GpSimd.
    """


@iota.rule("c1", "documented", "the pattern has as many elements as dst has per partition")
def _(use: Use) -> None:
    same_count(use.pattern, use.dst)


@iota.rule("c2", "documented", "offset, channel_multiplier and the steps are 32-bit integers")
def _(use: Use) -> None:
    in_32_bits(use.pattern, use.offset, use.channel_multiplier)


@iota.meaning
def _(use: Use) -> None:
    dst = use.dst
    values = affine_values(use.pattern, use.offset, use.channel_multiplier, dst.partitions)
    if dst.dtype in ("int32", "uint32"):
        dst.put(values.view(dst.held.carrier))
    else:
        dst.store(values.astype(np.float32))


@iota.native
def _(use: Use) -> Native | None:
    return Native("iota", ("dst",), native_pattern(use.pattern, use.offset, use.channel_multiplier))


@iota.cost
def _(use: Use) -> Cost:
    return gpsimd_cost(use, use.dst.elements)


iota.differ(
    "uint32 takes the bits of negative values; all other dtypes are reached through float32, so narrow integers saturate.",
)


@iota.shown
def _(m: SimpleNamespace) -> Any:
    def count(like: Any) -> Any:
        tile = m.nl.ndarray(like.shape, dtype=m.nl.int32, buffer=m.nl.sbuf)
        m.nisa.iota(dst=tile, pattern=[[1, like.shape[1]]], offset=100, channel_multiplier=10)
        out = m.nl.ndarray(like.shape, dtype=m.nl.int32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return count, (m.np.zeros((4, 8), m.np.int32),)
