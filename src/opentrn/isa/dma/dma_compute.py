"""dma_compute: add tensors inside the DMA engines, also into gathered or scattered rows."""

from __future__ import annotations

from functools import reduce
from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.spec import HBM, SBUF, Attribute, Broken, Cost, Use, instruction, into, of
from opentrn.isa.transfers import dma_cost, pieces
from opentrn.numerics.casts import from_f32, to_f32
from opentrn.numerics.latitude import taken


def _scales(value: Any) -> tuple[float, ...] | None:
    return None if value is None else tuple(float(a.number.parse(v)) for v in value)


scales_attribute = Attribute(_scales, "list of numbers (all 1.0), or None")


@instruction(
    operands={"dst": into(HBM | SBUF, role="inout"), "srcs": of(HBM | SBUF, many=True)},
    attributes={
        "reduce_op": a.alu,
        "scales": scales_attribute,
        "unique_indices": a.boolean,
        "oob_mode": a.choice(enums.oob_mode),
    },
    engines=(enums.engine.dma,),
    page="nki.isa.dma_compute (SDK 2.32)",
    traits=("sums",),
)
def dma_compute(dst, srcs, reduce_op, scales=None, unique_indices=True, oob_mode=enums.oob_mode.error, name=None):
    """Write the sum of up to 16 tensors to ``dst``: cast to float32, added in order, rounded once.

    One of two sources (or ``dst``) may be vector-indexed HBM: a gather or scatter that reads, adds and writes.
    ``oob_mode.skip`` leaves rows with an index out of bounds as they are.
    """


def by_vector(tile: Any) -> bool:
    """True for a view with a vector of row indices."""
    return tile.dynamic is not None and tile.dynamic.kind == "vector"


def indirect(use: Use) -> bool:
    """True when rows are gathered or scattered."""
    return any(by_vector(t) for t in (use.dst, *use.srcs))


@dma_compute.rule("c1", "documented", "every source has as many elements as dst")
def _(use: Use) -> None:
    for source in use.srcs:
        if source.size != use.dst.size:
            raise Broken(f"{source.shape} into {use.dst.shape}", "equally many elements")


@dma_compute.rule("c2", "documented", "at most 16 sources")
def _(use: Use) -> None:
    limit = use.chip.limits.dma_compute_sources_max
    if len(use.srcs) > limit:
        raise Broken(f"{len(use.srcs)} sources", f"at most {limit}")


@dma_compute.rule("c3", "documented", "reduce_op is nl.add")
def _(use: Use) -> None:
    if use.reduce_op.name != "add":
        raise Broken(f"nl.{use.reduce_op.name}", "nl.add")


@dma_compute.rule("c4", "documented", "scales are all 1.0, one for each source")
def _(use: Use) -> None:
    if use.scales is not None and (len(use.scales) != len(use.srcs) or any(s != 1.0 for s in use.scales)):
        raise Broken(str(use.scales), f"{len(use.srcs)} times 1.0, or None")


@dma_compute.rule("c5", "documented", "a vector index needs two sources and unique indices")
def _(use: Use) -> None:
    if indirect(use) and (len(use.srcs) != 2 or not use.unique_indices):
        raise Broken(f"{len(use.srcs)} sources, unique_indices={use.unique_indices}", "2 sources, unique_indices=True")


@dma_compute.rule("c6", "documented", "oob_mode.skip is for vector indices")
def _(use: Use) -> None:
    if use.oob_mode is enums.oob_mode.skip and not indirect(use):
        raise Broken("static addresses", "a view with a vector_offset")


@dma_compute.rule(
    "c7", "documented", "scatter: dst and one source indexed in HBM, the other in SBUF; gather: dst in SBUF"
)
def _(use: Use) -> None:
    if not indirect(use):
        return
    indexed = [s for s in use.srcs if by_vector(s)]
    plain = [s for s in use.srcs if not by_vector(s)]
    data = plain if by_vector(use.dst) else [*plain, use.dst]
    if len(indexed) != 1 or not indexed[0].buffer.is_hbm or any(t.buffer.is_hbm for t in data):
        shown = ", ".join(t.buffer.value + (" by index" if by_vector(t) else "") for t in (use.dst, *use.srcs))
        raise Broken(f"dst and srcs in {shown}", "one indexed source in HBM; everything not indexed in SBUF")


@dma_compute.rule("c8", "documented", "addresses are known at compile time, except for a vector index")
def _(use: Use) -> None:
    if any(t.dynamic is not None and not by_vector(t) for t in (use.dst, *use.srcs)):
        raise Broken("a scalar run-time index", "a static view, or a vector_offset")


def _one_after_another(dst: Any, source: Any, values: np.ndarray) -> np.ndarray:
    """What a scatter adds; with that choice, for an index that occurs again the sum of its rows, as if added in turn."""
    if not taken("duplicates") or not by_vector(dst) or by_vector(source):
        return values
    index, legal = dst.where().destinations
    index, rows = np.where(legal, index, 0), values.reshape(index.size, -1)
    totals = np.zeros((int(index.max()) + 1, rows.shape[1]), np.float32)
    np.add.at(totals, index, np.where(legal[:, None], rows, np.float32(0)))
    return totals[index].reshape(-1)


@dma_compute.meaning
def _(use: Use) -> None:
    keep = np.ones(use.dst.size, bool)
    terms = []
    for tile in (use.dst, *use.srcs):
        if tile.dynamic is not None and use.oob_mode is enums.oob_mode.skip:
            keep &= tile.where().valid.reshape(-1)
    for source in use.srcs:
        if source.dynamic is not None and use.oob_mode is enums.oob_mode.skip:
            source.require_written()
            values = source.where().gather().reshape(-1)
        else:
            values = source.flat()
        terms.append(_one_after_another(use.dst, source, to_f32(values, source.held)))
    if taken("sum_order"):
        terms.reverse()
    use.dst.put(from_f32(reduce(np.add, terms), use.dst.held), None if keep.all() else keep)


@dma_compute.cost
def _(use: Use) -> Cost:
    into_sbuf = not use.dst.buffer.is_hbm and "sbuf_accumulate_rate" in use.chip.cost.dma
    rate = "sbuf_accumulate_rate" if into_sbuf else "compute_rate"
    return dma_cost(use, use.dst, tuple(use.srcs), sum(pieces(use, use.dst, s) for s in use.srcs), rate)


dma_compute.differ(
    "Sources are added from first to last in float32, each sum rounded.",
    "With an index that occurs twice the last row wins (unique_indices=False is not supported).",
    "That the indexed source of a scatter is the destination itself is not checked; the sum is computed as written.",
)


@dma_compute.shown
def _(m: SimpleNamespace) -> Any:
    def total(x: Any, y: Any) -> Any:
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_compute(dst=out, srcs=[x, y], reduce_op=m.nl.add)
        return out

    return total, (m.np.ones((4, 8), m.np.float32), m.np.ones((4, 8), m.np.float32))
