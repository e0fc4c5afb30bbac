"""dma_compute: add tensors inside the DMA engines, also into gathered or scattered rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import dma_cost
from opentrn.isa.spec import HBM, SBUF, Attribute, Broken, Cost, Use, instruction, into, of
from opentrn.numerics.casts import from_f32, to_f32


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
)
def dma_compute(
    dst, srcs, reduce_op, scales=None, unique_indices=True, oob_mode=enums.oob_mode.error, name=None
):
    """Write the sum of up to 16 tensors to ``dst``: cast to float32, added in order, rounded once.

    One of two sources (or ``dst``) may be vector-indexed HBM: a gather or scatter that reads, adds and writes.
    ``oob_mode.skip`` leaves rows with an index out of bounds as they are.
    """


def indirect(use: Use) -> bool:
    """True when some operand has a run-time address."""
    return any(t.dynamic is not None for t in (use.dst, *use.srcs))


@dma_compute.rule("c1", "documented", "every source has as many elements as dst")
def _(use: Use) -> None:
    for source in use.srcs:
        if source.size != use.dst.size:
            raise Broken(f"{source.shape} into {use.dst.shape}", "equally many elements")


@dma_compute.rule("c2", "documented", "at most 16 sources")
def _(use: Use) -> None:
    if len(use.srcs) > 16:
        raise Broken(f"{len(use.srcs)} sources", "at most 16")


@dma_compute.rule("c3", "documented", "reduce_op is nl.add")
def _(use: Use) -> None:
    if use.reduce_op.name != "add":
        raise Broken(f"nl.{use.reduce_op.name}", "nl.add")


@dma_compute.rule("c4", "documented", "scales are all 1.0, one for each source")
def _(use: Use) -> None:
    if use.scales is not None and (len(use.scales) != len(use.srcs) or any(s != 1.0 for s in use.scales)):
        raise Broken(str(use.scales), f"{len(use.srcs)} times 1.0, or None")


@dma_compute.rule("c5", "documented", "a run-time address needs two sources and unique indices")
def _(use: Use) -> None:
    if indirect(use) and (len(use.srcs) != 2 or not use.unique_indices):
        raise Broken(f"{len(use.srcs)} sources, unique_indices={use.unique_indices}", "2 sources, unique_indices=True")


@dma_compute.rule("c6", "documented", "oob_mode.skip is for run-time addresses")
def _(use: Use) -> None:
    if use.oob_mode is enums.oob_mode.skip and not indirect(use):
        raise Broken("static addresses", "a view with a run-time index")


@dma_compute.meaning
def _(use: Use) -> None:
    keep = np.ones(use.dst.size, bool)
    total = np.zeros(use.dst.size, np.float32)
    skip = use.oob_mode is enums.oob_mode.skip
    for source in use.srcs:
        if source.dynamic is not None and skip:
            source.require_written()
            keep &= source.where().valid.reshape(-1)
            values = source.where().gather().reshape(-1)
        else:
            values = source.flat()
        total = total + to_f32(values, source.held)
    if use.dst.dynamic is not None and not skip:
        use.dst.require_valid()
    use.dst.put(from_f32(total, use.dst.held), keep)


@dma_compute.cost
def _(use: Use) -> Cost:
    nbytes = sum(s.size * s.dt.itemsize for s in use.srcs)
    base = dma_cost(use, nbytes, max(1, sum(s.size // s.shape[-1] for s in use.srcs)))
    rate = use.chip.cost.dma.compute_rate
    return Cost(base.engine, base.busy_ns, base.latency_ns / rate, (*base.tiers, "documented"))


dma_compute.differ("Sources are added from first to last, starting from zero.")


@dma_compute.shown
def _(m: SimpleNamespace) -> Any:
    def total(x: Any, y: Any) -> Any:
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_compute(dst=out, srcs=[x, y], reduce_op=m.nl.add)
        return out

    return total, (m.np.ones((4, 8), m.np.float32), m.np.ones((4, 8), m.np.float32))
