"""nonzero_with_count: positions of the nonzero elements, and how many there are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import gpsimd_cost, inferred
from opentrn.isa.rules import same_partitions
from opentrn.isa.spec import SBUF, Broken, Cost, Use, instruction, into, of

CORE = 16
INT32 = np.iinfo(np.int32)


@instruction(
    operands={
        "dst": into(SBUF, dtypes=frozenset({"int32"}), role="inout"),
        "src": of(SBUF, dtypes=frozenset({"float32", "int32"})),
    },
    attributes={"index_offset": a.integer_or_register, "padding_val": a.integer},
    engines=(enums.engine.gpsimd,),
    page="nki.isa.nonzero_with_count (SDK 2.32)",
    since=3,
)
def nonzero_with_count(dst, src, index_offset=0, padding_val=-1, name=None):
    """Write the positions of nonzero elements plus ``index_offset``, then ``padding_val``, and last their count.

    Works on partitions 0, 16, ..., 112 only; the other partitions of ``dst`` keep what they hold. ``dst`` has one
    element more per partition than ``src``.
    """


@nonzero_with_count.rule("c1", "documented", "src and dst have the same partitions")
def _(use: Use) -> None:
    same_partitions(use.src, use.dst)


@nonzero_with_count.rule("c2", "documented", "dst has one element more per partition than src")
def _(use: Use) -> None:
    if use.dst.elements != use.src.elements + 1:
        raise Broken(f"{use.dst.elements} elements in dst for {use.src.elements}", f"{use.src.elements + 1}")


@nonzero_with_count.rule("c3", "documented", "index_offset and padding_val are int32")
def _(use: Use) -> None:
    for value in (use.index_offset, use.padding_val):
        if not INT32.min <= value <= INT32.max:
            raise Broken(str(value), "an int32 number")


def found(row: np.ndarray, offset: int, padding: int) -> np.ndarray:
    """The positions of nonzero elements of `row` plus `offset`, padded to its length, and their count."""
    hits = np.flatnonzero(row)
    filled = np.full(len(row) + 1, padding, np.int32)
    filled[: hits.size] = hits + offset
    filled[-1] = hits.size
    return filled


@nonzero_with_count.meaning
def _(use: Use) -> None:
    src, dst = use.src, use.dst
    values, written = src.moved()
    values = values.reshape(src.partitions, -1)
    known = np.full(src.partitions, True) if written is None else written.reshape(values.shape).all(1)
    worked = np.arange(src.partitions) % CORE == 0
    if not (known & worked).any():
        src.require_written()
    result = np.stack([found(row, use.index_offset, use.padding_val) for row in values])
    rows = np.broadcast_to((worked & known)[:, None], result.shape)
    dst.put(result, rows)
    # from memory that nobody wrote the engine makes no value to rely on
    dst.forget(np.broadcast_to((worked & ~known)[:, None], result.shape))


@nonzero_with_count.cost
def _(use: Use) -> Cost:
    return inferred(gpsimd_cost(use, use.src.elements))  # no rate of its own is public


nonzero_with_count.differ("NaN counts as nonzero, -0.0 as zero; positions beyond int32 wrap.")


@nonzero_with_count.shown
def _(m: SimpleNamespace) -> Any:
    def positions(x: Any) -> Any:
        tile = m.nl.load(x)
        result = m.nl.ndarray((1, x.shape[1] + 1), dtype=m.nl.int32, buffer=m.nl.sbuf)
        m.nisa.nonzero_with_count(dst=result, src=tile, index_offset=16)
        out = m.nl.ndarray(result.shape, dtype=m.nl.int32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=result)
        return out

    return positions, (m.np.int32([[0, 1, 1, 0, 0, 1, 0, 0]]),)
