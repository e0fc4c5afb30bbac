"""nc_n_gather: gather within each partition."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.errors import KernelError
from opentrn.isa import enums
from opentrn.isa.costs import cycles_ns, gpsimd_cost, inferred
from opentrn.isa.rules import same_dtype, same_elements, same_partitions
from opentrn.isa.spec import SBUF, Cost, Use, instruction, into, of


@instruction(
    operands={"dst": into(SBUF), "data": of(SBUF), "indices": of(SBUF, dtypes=frozenset({"uint32"}))},
    engines=(enums.engine.gpsimd,),
    page="nki.isa.nc_n_gather (SDK 2.32)",
)
def nc_n_gather(dst, data, indices, name=None):
    """Write element ``indices[p, i]`` of partition p of ``data`` (free dimensions flattened) to ``dst[p, i]``.

    ``dst`` has ``data``'s dtype and as many elements per partition as ``indices``. Bits are copied.

    Raises `KernelError` for an index outside the partition.
    """


@nc_n_gather.rule("c1", "documented", "data, indices and dst have the same partitions")
def _(use: Use) -> None:
    same_partitions(use.data, use.indices, use.dst)


@nc_n_gather.rule("c2", "documented", "dst has as many elements per partition as indices")
def _(use: Use) -> None:
    same_elements(use.indices, use.dst)


@nc_n_gather.rule("c3", "documented", "dst has data's dtype")
def _(use: Use) -> None:
    same_dtype(use.data, use.dst)


@nc_n_gather.meaning
def _(use: Use) -> None:
    index, size = use.indices.raw().astype(np.int64), use.data.elements
    if index.max() >= size:
        raise KernelError(
            "nc_n_gather: an index is out of bounds",
            kind="bounds",
            got=str(int(index.max())),
            expected=f"0 to {size - 1}",
        )
    values, written = use.data.moved()
    flat = [np.take_along_axis(a.reshape(len(index), -1), index, 1) for a in (values, written) if a is not None]
    use.dst.place(flat[0], flat[1] if written is not None else None)


@nc_n_gather.cost
def _(use: Use) -> Cost:
    # one instruction for every 512 elements per partition, each with its own start
    table = use.chip.cost.gpsimd
    starts = -(-use.dst.elements // use.chip.limits.nc_n_gather_group)
    one = inferred(gpsimd_cost(use, use.dst.elements))
    return replace(one, busy_ns=one.busy_ns + cycles_ns(use, "gpsimd", (starts - 1) * table.fixed_cycles))


nc_n_gather.differ("An index out of bounds raises; the page only demands that there is none.")


@nc_n_gather.shown
def _(m: SimpleNamespace) -> Any:
    def gather(x: Any, index: Any) -> Any:
        tile, where = m.nl.load(x), m.nl.load(index)
        result = m.nl.ndarray(index.shape, dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.nc_n_gather(dst=result, data=tile, indices=where)
        out = m.nl.ndarray(index.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=result)
        return out

    return gather, (m.np.arange(32, dtype=m.np.float32).reshape(4, 8), m.np.uint32([[7, 0], [1, 1], [2, 5], [3, 3]]))
