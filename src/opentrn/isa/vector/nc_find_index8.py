"""nc_find_index8: where eight given values occur."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.isa import enums
from opentrn.isa.costs import vector_cost
from opentrn.isa.search import INDICES, WIDTH, eight, missing_as_ones, positions, rank_at_most, searchable
from opentrn.isa.spec import Cost, Use, instruction, into, of


@instruction(
    operands={"dst": into(dtypes=INDICES), "data": of(), "vals": of()},
    engines=(enums.engine.vector,),
    page="nki.isa.nc_find_index8 (SDK 2.32)",
)
def nc_find_index8(dst, data, vals, name=None):
    """Write the position of the first occurrence of each of eight values in each partition of ``data``.

    ``data`` has 8 to 16,384 elements per partition, ``vals`` and ``dst`` (uint16 or uint32) eight. Values are compared
    as float32. Equal ``vals`` take successive occurrences in ascending order; a value that does not occur (or not often
    enough) gives all ones: 0xFFFF or 0xFFFFFFFF, by ``dst``'s dtype. Runs on the Vector Engine.
    """


@nc_find_index8.rule("c1", "documented", "data has 8 to 16,384 elements per partition")
def _(use: Use) -> None:
    searchable(use, use.data)


@nc_find_index8.rule("c2", "documented", "vals and dst have data's partitions and eight elements in each")
def _(use: Use) -> None:
    eight(use.data, use.vals, use.dst)


@nc_find_index8.rule("c3", "documented", "data and vals have at most three dimensions, dst two")
def _(use: Use) -> None:
    rank_at_most(3, use.data, use.vals)
    rank_at_most(2, use.dst)


@nc_find_index8.meaning
def _(use: Use) -> None:
    found = positions(use.data.f32(), use.vals.f32(), range(WIDTH))
    use.dst.put(missing_as_ones(found, use.dst))


@nc_find_index8.cost
def _(use: Use) -> Cost:
    return vector_cost(use, use.data.elements, "cycles_per_element_nc_find_index8")


nc_find_index8.differ(
    "A NaN is never found; +0 and -0 are one value.",
    "data and vals are compared as float32, also where both are integers (above 2^24 neighbours look alike).",
    "Of more equal vals than there are occurrences, the surplus gives all ones.",
)


@nc_find_index8.shown
def _(m: SimpleNamespace) -> Any:
    def where(x: Any) -> Any:
        tile = m.nl.load(x)
        best = m.nl.ndarray((x.shape[0], 8), dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.max8(dst=best, src=tile)
        index = m.nl.ndarray(best.shape, dtype=m.nl.uint32, buffer=m.nl.sbuf)
        m.nisa.nc_find_index8(dst=index, data=tile, vals=best)
        out = m.nl.ndarray(best.shape, dtype=m.nl.uint32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=index)
        return out

    return where, (m.np.arange(64, dtype=m.np.float32).reshape(4, 16),)
