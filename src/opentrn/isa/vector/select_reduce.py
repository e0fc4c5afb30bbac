"""select_reduce: choose between a tile and a number or column by a predicate, with a running maximum."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import vector_cost
from opentrn.isa.meanings import value
from opentrn.isa.rules import column, not_both_psum, same_tile
from opentrn.isa.selects import finish, maximum_only
from opentrn.isa.spec import Cost, Use, instruction, into, of, scalar_or
from opentrn.numerics.dtypes import DTYPES

# bool is stored as uint8 (nki.api.shared.rst); the public example selects by a bool tile
PREDICATES = frozenset({"int8", "uint8", "int16", "uint16", "bool"})
ON_TRUE = frozenset(n for n, d in DTYPES.items() if d.kind != "packed") - {"tfloat32", "int32", "uint32"}
FLOATS = frozenset(n for n, d in DTYPES.items() if d.is_float)


@instruction(
    operands={
        "dst": into(),
        "predicate": of(dtypes=PREDICATES),
        "on_true": of(dtypes=ON_TRUE),
        "on_false": scalar_or(),
        "reduce_res": into(dtypes=FLOATS, optional=True),
    },
    attributes={
        "reduce_cmd": a.choice(
            enums.reduce_cmd, enums.reduce_cmd.idle, enums.reduce_cmd.reset_reduce, enums.reduce_cmd.reduce
        ),
        "reduce_op": a.alu,
        "reverse_pred": a.boolean,
    },
    engines=(enums.engine.vector,),
    page="nki.isa.select_reduce (SDK 2.32)",
    traits=("sums",),
)
def select_reduce(
    dst,
    predicate,
    on_true,
    on_false,
    reduce_res=None,
    reduce_cmd=enums.reduce_cmd.idle,
    reduce_op=a.operator("maximum"),
    reverse_pred=False,
    name=None,
):
    """Take ``on_true`` where ``predicate`` is not zero, else ``on_false`` (a number or (P, 1) tile).

    ``reverse_pred`` swaps the two. With ``reduce_cmd`` the maximum over the free dimension is kept in the Vector
    Engine's accumulator registers and written to ``reduce_res`` (P, 1).
    """


@select_reduce.rule("c1", "documented", "on_true, predicate and dst have the same partitions and elements")
def _(use: Use) -> None:
    same_tile(use.dst, use.predicate, use.on_true)


@select_reduce.rule("c2", "documented", "on_false and reduce_res have one element per partition")
def _(use: Use) -> None:
    column(use.on_false, use.dst)
    column(use.reduce_res, use.dst)


@select_reduce.rule("c3", "documented", "on_true and predicate are not both in PSUM")
def _(use: Use) -> None:
    not_both_psum(use.on_true, use.predicate)


@select_reduce.rule("c4", "documented", "reduce_op is nl.maximum")
def _(use: Use) -> None:
    maximum_only(use)


@select_reduce.meaning
def _(use: Use) -> None:
    where = (use.predicate.raw() != 0) ^ use.reverse_pred
    finish(use, np.where(where, use.on_true.f32(), value(use.on_false)).astype(np.float32))


@select_reduce.cost
def _(use: Use) -> Cost:
    return vector_cost(use, use.dst.elements, "cycles_per_element_copy_predicated")


select_reduce.differ(
    "A reduce_cmd of idle leaves the accumulator registers as they are; the page says they may change."
)


@select_reduce.shown
def _(m: SimpleNamespace) -> Any:
    def choose(x: Any, mask: Any) -> Any:
        tile, where = m.nl.load(x), m.nl.load(mask)
        result = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.select_reduce(dst=result, predicate=where, on_true=tile, on_false=-1.0)
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=result)
        return out

    return choose, (m.np.ones((4, 8), m.np.float32), m.np.eye(4, 8, dtype=m.np.uint8))
