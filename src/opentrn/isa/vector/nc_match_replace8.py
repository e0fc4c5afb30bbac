"""nc_match_replace8: replace the first occurrence of each of eight values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import vector_cost
from opentrn.isa.rules import same_tile
from opentrn.isa.search import INDICES, WIDTH, eight, missing_as_ones, positions, searchable
from opentrn.isa.spec import Cost, Use, instruction, into, of
from opentrn.numerics.casts import convert, from_f32


@instruction(
    operands={
        "dst": into(),
        "data": of(),
        "vals": of(),
        "dst_idx": into(dtypes=INDICES, optional=True),
    },
    attributes={"imm": a.number},
    engines=(enums.engine.vector,),
    page="nki.isa.nc_match_replace8 (SDK 2.32)",
)
def nc_match_replace8(dst, data, vals, imm, dst_idx=None, name=None):
    """Copy ``data`` to ``dst`` with the first occurrence of each of eight ``vals`` replaced by ``imm``.

    The values look in reverse order (7 to 0), so that of equal values the last takes the first occurrence.
    ``dst_idx`` (P, 8), uint16 or uint32, receives the positions; all ones where a value does not occur. Values are
    compared as float32; other elements keep their bits when ``dst`` has ``data``'s dtype, and are rounded once
    otherwise. ``dst`` may be ``data``. Runs on the Vector Engine.
    """


@nc_match_replace8.rule("c1", "inferred", "data has 8 to 16,384 elements per partition")
def _(use: Use) -> None:
    # the limit of max8 and nc_find_index8, whose eight values it takes
    searchable(use, use.data)


@nc_match_replace8.rule("c2", "documented", "vals and dst_idx have data's partitions and eight elements in each")
def _(use: Use) -> None:
    eight(use.data, use.vals, use.dst_idx)


@nc_match_replace8.rule("c3", "documented", "data and dst have the same partitions and elements per partition")
def _(use: Use) -> None:
    same_tile(use.data, use.dst)


@nc_match_replace8.meaning
def _(use: Use) -> None:
    data, dst = use.data, use.dst
    found = positions(data.f32(), use.vals.f32(), range(WIDTH - 1, -1, -1))
    result = np.array(convert(data.raw(), data.held, dst.held))
    rows, slots = np.nonzero(found >= 0)
    result[rows, found[rows, slots]] = from_f32(np.full(1, use.imm, np.float32), dst.held)[0]
    dst.put(result)
    if use.dst_idx is not None:
        use.dst_idx.put(missing_as_ones(found, use.dst_idx))


@nc_match_replace8.cost
def _(use: Use) -> Cost:
    return vector_cost(use, use.data.elements, "cycles_per_element_nc_match_replace8")


nc_match_replace8.differ(
    "A NaN is never found; +0 and -0 are one value.",
    "Values look for occurrences in data as it was: an imm that equals one of vals is not found again.",
    "Of more equal vals than there are occurrences, the surplus gives all ones in dst_idx.",
    "dst_idx is written on NeuronCore-v2, too; nki-library uses nc_find_index8 there (rotational_topk_utils.py, sort).",
)


@nc_match_replace8.shown
def _(m: SimpleNamespace) -> Any:
    def without_top(x: Any) -> Any:
        tile = m.nl.load(x)
        best = m.nl.ndarray((x.shape[0], 8), dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.max8(dst=best, src=tile)
        m.nisa.nc_match_replace8(dst=tile, data=tile, vals=best, imm=-1.0)
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return without_top, (m.np.arange(64, dtype=m.np.float32).reshape(4, 16),)
