"""max8: the eight largest values of each partition."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.isa import enums
from opentrn.isa.costs import vector_cost
from opentrn.isa.search import eight, largest, rank_at_most, searchable
from opentrn.isa.spec import Cost, Use, instruction, into, of


@instruction(
    operands={"dst": into(), "src": of()},
    engines=(enums.engine.vector,),
    page="nki.isa.max8 (SDK 2.32)",
)
def max8(dst, src, name=None):
    """Write the eight largest values of each partition of ``src`` into ``dst`` (P, 8), in descending order.

    ``src`` has up to three dimensions and 8 to 16,384 elements per partition, in any dtype; they are compared as
    float32 and rounded once to ``dst``'s dtype. Equal values come as often as they occur. Runs on the Vector Engine.
    """


@max8.rule("c1", "documented", "src has 8 to 16,384 elements per partition")
def _(use: Use) -> None:
    searchable(use, use.src)


@max8.rule("c2", "documented", "dst has src's partitions and eight elements in each")
def _(use: Use) -> None:
    eight(use.src, use.dst)


@max8.rule("c3", "documented", "src has at most three dimensions, dst two")
def _(use: Use) -> None:
    rank_at_most(3, use.src)
    rank_at_most(2, use.dst)


@max8.meaning
def _(use: Use) -> None:
    use.dst.store(largest(use.src.f32()))


@max8.cost
def _(use: Use) -> Cost:
    return vector_cost(use, use.src.elements, "cycles_per_element_max8")


max8.differ("NaN counts as larger than every number (and comes out as a quiet NaN), +0 as larger than -0.")


@max8.shown
def _(m: SimpleNamespace) -> Any:
    def top(x: Any) -> Any:
        tile = m.nl.load(x)
        best = m.nl.ndarray((x.shape[0], 8), dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.max8(dst=best, src=tile)
        out = m.nl.ndarray(best.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=best)
        return out

    return top, (m.np.arange(64, dtype=m.np.float32).reshape(4, 16),)
