"""tensor_copy_predicated: copy only where a predicate holds."""

from __future__ import annotations

from math import isfinite
from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import vector_cost
from opentrn.isa.indirection import indices_beside
from opentrn.isa.rules import not_both_psum, same_dtype, same_tile
from opentrn.isa.spec import Broken, Cost, Native, Use, instruction, into, of, scalar_or

PREDICATES = frozenset({"uint8", "uint16", "uint32"})


@instruction(
    operands={
        "dst": into(role="inout", indirect=True),
        "src": scalar_or(),
        "predicate": of(dtypes=PREDICATES, indirect=True),
    },
    attributes={"reverse_pred": a.boolean},
    engines=(enums.engine.vector,),
    page="nki.isa.tensor_copy_predicated (SDK 2.32)",
)
def tensor_copy_predicated(dst, src, predicate, reverse_pred=False, name=None):
    """Copy ``src`` (a tile or a number) to ``dst`` where ``predicate`` is not zero; other elements of ``dst`` stay.

    ``reverse_pred`` copies where it is zero. Bits are copied as they are. Runs on the Vector Engine.
    """


@tensor_copy_predicated.rule("c1", "documented", "src, predicate and dst have the same partitions and elements")
def _(use: Use) -> None:
    same_tile(use.dst, use.predicate, use.src)


@tensor_copy_predicated.rule("c2", "documented", "src and dst have one data type")
def _(use: Use) -> None:
    if hasattr(use.src, "dtype"):
        same_dtype(use.src, use.dst)


@tensor_copy_predicated.rule("c3", "documented", "src and predicate are not both in PSUM")
def _(use: Use) -> None:
    not_both_psum(use.src, use.predicate)


@tensor_copy_predicated.rule("c4", "inferred", "a number is a value of dst's dtype (whole and in range for integers)")
def _(use: Use) -> None:
    src, kind = use.src, use.dst.dt
    if hasattr(src, "dtype") or kind.is_float:
        return
    low, high = (0, 0) if kind.kind == "packed" else (kind.min, kind.max)
    if not (isfinite(src) and src == int(src) and low <= src <= high):
        raise Broken(f"src={src} into {kind.name}", f"a whole number from {low} to {high}")


@tensor_copy_predicated.rule(
    "c5", "documented", "indices of hand-placed indirect views start on quadrants, beside their data"
)
def _(use: Use) -> None:
    indices_beside(use.dst, use.predicate)


@tensor_copy_predicated.meaning
def _(use: Use) -> None:
    where = (use.predicate.raw() != 0) ^ use.reverse_pred
    if not isinstance(use.src, (int, float)):
        use.dst.put(use.src.raw().copy(), where)
    elif use.dst.held.is_float:
        use.dst.store(np.full(where.shape, use.src, np.float32), where)
    else:
        use.dst.put(np.full(where.shape, int(use.src), use.dst.held.carrier), where)


@tensor_copy_predicated.native
def _(use: Use) -> Native | None:
    if isinstance(use.src, (int, float)):
        return None
    # a dst that is not written yet keeps that state where nothing is copied, which only the meaning follows
    return Native(
        "tensor_copy_predicated", ("dst", "src", "predicate"), (int(use.reverse_pred),), roles=("inout", "in", "in")
    )


@tensor_copy_predicated.cost
def _(use: Use) -> Cost:
    return vector_cost(use, use.dst.elements, "cycles_per_element_copy_predicated")


@tensor_copy_predicated.shown
def _(m: SimpleNamespace) -> Any:
    def keep(x: Any, mask: Any) -> Any:
        tile, where = m.nl.load(x), m.nl.load(mask)
        result = m.nl.zeros(x.shape, dtype=x.dtype)
        m.nisa.tensor_copy_predicated(dst=result, src=tile, predicate=where)
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=result)
        return out

    return keep, (m.np.ones((4, 8), m.np.float32), m.np.eye(4, 8, dtype=m.np.uint8))
