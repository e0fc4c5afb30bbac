"""affine_select: choose between a tile and a number by an affine predicate."""

from __future__ import annotations

from math import isinf
from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.affine import affine_values, in_32_bits, native_pattern, same_count
from opentrn.isa.costs import gpsimd_cost
from opentrn.isa.rules import same_partitions
from opentrn.isa.spec import SBUF, Broken, Cost, Native, Use, instruction, into, of
from opentrn.numerics.casts import stored_f32, to_f32

LARGEST = float(np.finfo(np.float32).max)
COMPARISONS = {
    "equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal,
    "greater": np.greater, "greater_equal": np.greater_equal,
}  # fmt: skip


@instruction(
    operands={"dst": into(SBUF), "on_true_tile": of(SBUF)},
    attributes={
        "pattern": a.pattern,
        "channel_multiplier": a.integer_or_register,
        "on_false_value": a.number,
        "cmp_op": a.alu,
        "offset": a.integer_or_register,
    },
    engines=(enums.engine.gpsimd,),
    page="nki.isa.affine_select (SDK 2.32)",
)
def affine_select(
    dst, pattern, channel_multiplier, on_true_tile, on_false_value, cmp_op=a.operator("equal"), offset=0, name=None
):
    """Take ``on_true_tile`` where an affine value compares true with 0, else ``on_false_value``; on GpSimd, in SBUF.

    The value is ``offset + partition * channel_multiplier + sum(step * position)`` over ``pattern``. Chosen elements
    keep their bits when the dtypes are equal and go through float32 otherwise.
    """


@affine_select.rule("c1", "documented", "on_true_tile and dst have the same partitions")
def _(use: Use) -> None:
    same_partitions(use.on_true_tile, use.dst)


@affine_select.rule("c2", "documented", "the pattern has as many elements as the tiles have per partition")
def _(use: Use) -> None:
    same_count(use.pattern, use.dst, use.on_true_tile)


@affine_select.rule("c3", "documented", "cmp_op is a comparison")
def _(use: Use) -> None:
    if use.cmp_op.name not in COMPARISONS:
        raise Broken(f"nl.{use.cmp_op.name}", ", ".join(f"nl.{n}" for n in COMPARISONS))


@affine_select.rule("c4", "documented", "offset, channel_multiplier and the steps are 32-bit integers")
def _(use: Use) -> None:
    in_32_bits(use.pattern, use.offset, use.channel_multiplier)


@affine_select.rule("c5", "documented", "on_false_value is a float32 number")
def _(use: Use) -> None:
    if isinf(stored_f32(use.on_false_value)) and abs(use.on_false_value) != float("inf"):
        raise Broken(repr(use.on_false_value), f"at most {LARGEST} in size, or infinite")


@affine_select.meaning
def _(use: Use) -> None:
    dst, source = use.dst, use.on_true_tile
    values = affine_values(use.pattern, use.offset, use.channel_multiplier, dst.partitions)
    holds = COMPARISONS[use.cmp_op.name](values, 0)
    other = np.full(holds.shape, use.on_false_value, np.float32)
    chosen, written = source.moved()  # what is not chosen need not have been written
    chosen = chosen.reshape(holds.shape)
    if source.dtype == dst.dtype:
        chosen = chosen.copy()  # dst may overlap it
        dst.store(other, ~holds)
        dst.put(chosen, holds)
    else:
        dst.store(np.where(holds, to_f32(chosen, source.held), other))
    if written is not None:
        dst.forget(holds & ~written.reshape(holds.shape))


@affine_select.native
def _(use: Use) -> Native | None:
    integers = use.dst.dt.is_integer and use.on_true_tile.dt.is_integer
    if integers and use.dst.dtype != use.on_true_tile.dtype:
        return None  # the core passes the bits of integers of one width on; the page says through float32
    ints = (*native_pattern(use.pattern, use.offset, use.channel_multiplier), use.cmp_op.code)
    return Native("affine_select", ("dst", "on_true_tile"), ints, (float(np.float32(use.on_false_value)),))


@affine_select.cost
def _(use: Use) -> Cost:
    return gpsimd_cost(use, use.dst.elements)


affine_select.differ("on_false_value is rounded to dst's dtype: float32's lowest becomes -inf in bfloat16 and float16.")


@affine_select.shown
def _(m: SimpleNamespace) -> Any:
    def causal(x: Any) -> Any:
        tile = m.nl.load(x)
        m.nisa.affine_select(
            dst=tile,
            pattern=[[-1, x.shape[1]]],
            channel_multiplier=1,
            on_true_tile=tile,
            on_false_value=-1.0,
            cmp_op=m.nl.greater_equal,
        )
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return causal, (m.np.ones((4, 4), m.np.float32),)
