"""dma_copy: move data between HBM and SBUF through the DMA engines, with gather and scatter."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.spec import HBM, SBUF, Broken, Cost, Native, Use, instruction, into, of
from opentrn.isa.transfers import dma_cost, pieces
from opentrn.numerics.casts import convert


@instruction(
    operands={"dst": into(HBM | SBUF), "src": of(HBM | SBUF)},
    attributes={
        "priority": a.optional(a.integer),
        "oob_mode": a.choice(enums.oob_mode),
        "dge_mode": a.choice(enums.dge_mode),
    },
    engines=(enums.engine.dma, enums.engine.sync, enums.engine.scalar, enums.engine.gpsimd, enums.engine.vector),
    page="nki.isa.dma_copy (SDK 2.32)",
)
def dma_copy(
    dst,
    src,
    priority=None,
    oob_mode=enums.oob_mode.error,
    dge_mode=enums.dge_mode.unknown,
    engine=enums.engine.unknown,
    name=None,
):
    """Copy ``src`` to ``dst`` through the DMA engines.

    The elements are taken in row-major order of each view, so only their number has to agree. Different dtypes are
    converted through float32 with one rounding; equal dtypes are copied bit for bit. One of the views may have a
    run-time address (`.ap(scalar_offset=...)`, `.ap(vector_offset=...)`, `.select`, `.vector_select`): a gather or a
    scatter. ``oob_mode.skip`` leaves out rows whose index is out of bounds; the destination keeps its old values there.
    """


@dma_copy.rule("c1", "documented", "src and dst have the same number of elements")
def _(use: Use) -> None:
    if use.src.size != use.dst.size:
        raise Broken(
            f"{use.src.size} from {use.src.shape} into {use.dst.size} of {use.dst.shape}", "equally many elements"
        )


@dma_copy.rule("c2", "documented", "dge_mode.hwdge needs NeuronCore-v3 or newer")
def _(use: Use) -> None:
    if use.dge_mode is enums.dge_mode.hwdge and use.chip.nc_version < 3:
        raise Broken(use.chip.name, "trn2 or newer")


@dma_copy.rule("c3", "documented", "dge_mode.hwdge does not convert: src and dst have one element size")
def _(use: Use) -> None:
    # NKI 0.3.0 release notes, "Breaking Changes"
    if use.dge_mode is enums.dge_mode.hwdge and use.src.dtype != use.dst.dtype:
        raise Broken(
            f"{use.src.dtype} to {use.dst.dtype}", "equal dtypes", "reinterpret with .view(), or use another mode"
        )


@dma_copy.rule("c4", "documented", "priority is 0 to 3, on NeuronCore-v4 or newer")
def _(use: Use) -> None:
    if use.priority is not None and (use.chip.nc_version < 4 or not 0 <= use.priority <= 3):
        raise Broken(f"priority {use.priority} on {use.chip.name}", "0..3 on trn3")


@dma_copy.rule("c5", "documented", "a vector-indexed view is in HBM")
def _(use: Use) -> None:
    for side in (use.src, use.dst):
        if side.dynamic is not None and side.dynamic.kind == "vector" and not side.buffer.is_hbm:
            raise Broken(f"vector_offset on a tensor in {side.buffer.value}", "a tensor in HBM")


@dma_copy.rule("c6", "documented", "engine is sync or scalar, and only with dge_mode.hwdge")
def _(use: Use) -> None:
    hardware = (enums.engine.sync, enums.engine.scalar)
    if use.dge_mode is enums.dge_mode.hwdge and use.engine not in (*hardware, enums.engine.dma):
        raise Broken(use.engine.name, "sync or scalar")


@dma_copy.meaning
def _(use: Use) -> None:
    src, dst = use.src, use.dst
    if use.oob_mode is enums.oob_mode.error:
        dst.take(src)
        return
    keep = np.ones(dst.size, bool)
    if dst.dynamic is not None:
        keep &= dst.where().valid.reshape(-1)
    if src.dynamic is not None:
        keep &= src.where().valid.reshape(-1)
        src.require_written()
        values = src.where().gather().reshape(-1)
    else:
        values = src.flat()
    dst.put(convert(values, src.held, dst.held), keep)


@dma_copy.native
def _(use: Use) -> Native | None:
    return Native("copy", ("dst", "src"))


@dma_copy.cost
def _(use: Use) -> Cost:
    return dma_cost(use, use.dst, (use.src,), pieces(use, use.dst, use.src))


dma_copy.differ(
    "A row whose index is in bounds but whose other elements leave the tensor is treated as out of bounds element by "
    "element; the hardware checks each descriptor (nisa.dma_copy does not say which elements one descriptor holds).",
)


@dma_copy.shown
def _(m: SimpleNamespace) -> Any:
    def copy(x: Any) -> Any:
        tile = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.dma_copy(dst=tile, src=x)
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return copy, (m.np.arange(32, dtype=m.np.float32).reshape(4, 8),)
