"""dma_transpose: transpose through the DMA engines, also of gathered rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.rules import same_dtype
from opentrn.isa.spec import HBM, SBUF, Attribute, Broken, Cost, Use, instruction, into, of
from opentrn.isa.transfers import dma_cost, pieces

AXES = {2: (1, 0), 3: (2, 1, 0), 4: (3, 1, 2, 0)}
HARDWARE = enums.dge_mode.hwdge


def _axes(value: Any) -> tuple[int, ...] | None:
    return None if value is None else a.integers.parse(value)


axes_attribute = Attribute(_axes, "tuple of axes, or None")


@instruction(
    operands={"dst": into(SBUF), "src": of(HBM | SBUF)},
    attributes={
        "axes": axes_attribute,
        "priority": a.optional(a.integer),
        "dge_mode": a.choice(enums.dge_mode),
        "oob_mode": a.choice(enums.oob_mode),
    },
    engines=(enums.engine.dma,),
    page="nki.isa.dma_transpose (SDK 2.32)",
)
def dma_transpose(
    dst, src, axes=None, priority=None, dge_mode=enums.dge_mode.unknown, oob_mode=enums.oob_mode.error, name=None
):
    """Transpose ``src`` (HBM or SBUF) into ``dst`` (SBUF): axes (1, 0), (2, 1, 0) or (3, 1, 2, 0) by rank.

    Bits are copied. With a vector-indexed ``src`` in HBM rows are gathered first, in the order of the index tile's
    columns: ``src[indices.T.flatten()[:rows]]``. ``oob_mode.skip`` leaves the parts of ``dst`` whose index is out of
    bounds as they are; ``error`` raises KernelError.
    """


def gathers(use: Use) -> bool:
    """True when ``src`` has a vector of row indices."""
    return use.src.dynamic is not None and use.src.dynamic.kind == "vector"


@dma_transpose.rule("c1", "documented", "src has 2 to 4 dimensions and axes is the order of its rank")
def _(use: Use) -> None:
    rank = len(use.src.shape)
    if rank not in AXES or use.axes not in (None, AXES.get(rank)):
        raise Broken(f"axes={use.axes} of {use.src.shape}", f"{AXES.get(rank, '2-D to 4-D src')}")


@dma_transpose.rule("c2", "documented", "dst has the transposed shape of src, rank included")
def _(use: Use) -> None:
    order = AXES[len(use.src.shape)]
    wanted = tuple(use.src.shape[n] for n in order)
    if tuple(use.dst.shape) != wanted:
        raise Broken(f"dst {use.dst.shape}", str(wanted))


@dma_transpose.rule("c3", "documented", "src and dst have one data type")
def _(use: Use) -> None:
    same_dtype(use.src, use.dst)


@dma_transpose.rule("c4", "documented", "hwdge: first dimension 16 (2-D) or 1 to 16, last at most 128, 2-byte dtype")
def _(use: Use) -> None:
    if use.dge_mode is not HARDWARE:
        return
    shape, limits = use.src.shape, use.chip.limits
    if use.chip.nc_version < 3 or use.src.dt.itemsize not in limits.dma_transpose_dtype_bytes:
        raise Broken(f"{use.src.dtype} on {use.chip.name}", "a 2-byte dtype on trn2 or newer")
    first = limits.dma_transpose_hwdge_first_dim_2d if len(shape) == 2 else limits.dma_transpose_hwdge_first_dim
    rows, last = limits.dma_transpose_row_multiple, limits.dma_transpose_last_dim_max
    if shape[0] not in first or shape[-1] > last or (len(shape) > 2 and (shape[0] * shape[-2]) % rows):
        wanted = f"first dimension of {tuple(first)}, last <= {last}"
        raise Broken(str(shape), wanted + (f", (first * last but one) % {rows} == 0" if len(shape) > 2 else ""))


@dma_transpose.rule("c5", "documented", "dge_mode is unknown, none or hwdge; with a vector index unknown or swdge")
def _(use: Use) -> None:
    # the page names unknown and hwdge; nki-library's mlp_tkg (2.29) asks for none, static descriptors, in direct ones
    modes = enums.dge_mode
    allowed = (modes.unknown, modes.swdge) if gathers(use) else (modes.unknown, modes.none, HARDWARE)
    if use.dge_mode not in allowed:
        raise Broken(use.dge_mode.name, " or ".join(m.name for m in allowed))


@dma_transpose.rule(
    "c6", "documented", "a vector index: HBM source, 2-byte dtype, rows a multiple of 16, last at most 128"
)
def _(use: Use) -> None:
    if not gathers(use):
        return
    shape, limits = use.src.shape, use.chip.limits
    if (
        use.chip.nc_version < 3
        or not use.src.buffer.is_hbm
        or use.src.dt.itemsize not in limits.dma_transpose_dtype_bytes
    ):
        raise Broken(
            f"{use.src.dtype} in {use.src.buffer.value} on {use.chip.name}", "2-byte HBM source, trn2 or newer"
        )
    rows, last = limits.dma_transpose_row_multiple, limits.dma_transpose_last_dim_max
    if shape[0] % rows or shape[-1] > last or (len(shape) == 4 and 1 not in shape[1:3]):
        raise Broken(str(shape), f"rows % {rows} == 0, last <= {last}, and of a 4-D source one middle dimension of 1")


@dma_transpose.rule("c7", "documented", "oob_mode.skip is for run-time addresses")
def _(use: Use) -> None:
    if use.oob_mode is enums.oob_mode.skip and use.src.dynamic is None:
        raise Broken("a static source", "a view with a run-time index")


@dma_transpose.rule("c8", "documented", "priority is 0 to 3, on NeuronCore-v4 or newer")
def _(use: Use) -> None:
    if use.priority is not None and (use.chip.nc_version < 4 or not 0 <= use.priority <= 3):
        raise Broken(f"priority {use.priority} on {use.chip.name}", "0..3 on trn3")


@dma_transpose.rule(
    "c9", "documented", "indices: (rows, columns) uint32 in SBUF, 16 to 128 rows, one for each row of src"
)
def _(use: Use) -> None:
    if not gathers(use):
        return
    index, limits = use.src.dynamic.index, use.chip.limits
    if len(index.shape) != 2 or index.dtype != "uint32" or index.buffer is not enums.MemoryRegion.sbuf:
        raise Broken(f"{index.dtype} {index.shape} in {index.buffer.value}", "2-D uint32 in SBUF")
    (low, high), (rows, columns) = limits.dma_transpose_indirect_index_rows, index.shape
    if not low <= rows <= high or rows % limits.dma_transpose_row_multiple or (columns > 1 and rows != high):
        raise Broken(
            f"indices {index.shape}", f"{low} to {high} rows in steps of {low}; {high} rows for several columns"
        )
    if rows * columns < use.src.shape[0]:
        raise Broken(f"{rows * columns} indices for {use.src.shape[0]} rows", "at least as many indices as rows")


@dma_transpose.meaning
def _(use: Use) -> None:
    order = AXES[len(use.src.shape)]
    if use.oob_mode is enums.oob_mode.error:
        values, written = use.src.moved()
        use.dst.place(
            np.ascontiguousarray(values.transpose(order)), None if written is None else written.transpose(order)
        )
        return
    use.src.require_written()
    where = use.src.where()
    use.dst.put(np.ascontiguousarray(where.gather().transpose(order)), where.valid.transpose(order).copy())


@dma_transpose.cost
def _(use: Use) -> Cost:
    rate = "transpose_hbm_to_sbuf_rate" if use.src.buffer.is_hbm else "transpose_sbuf_to_sbuf_rate"
    # the engines transpose whole rows of the source on their way (trainium2_arch.rst, "DMA transpose")
    return dma_cost(use, use.dst, (use.src,), pieces(use, use.src, use.src), rate)


dma_transpose.differ(
    "oob_mode.skip with a scalar index out of bounds leaves all of dst as it is (nisa.dma_transpose names no granule).",
)


@dma_transpose.shown
def _(m: SimpleNamespace) -> Any:
    def flip(x: Any) -> Any:
        tile = m.nl.ndarray((x.shape[1], x.shape[0]), dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.dma_transpose(dst=tile, src=x)
        out = m.nl.ndarray(tile.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return flip, (m.np.arange(32).reshape(4, 8).astype(m.nl.bfloat16),)
