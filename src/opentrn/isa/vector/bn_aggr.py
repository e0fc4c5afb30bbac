"""bn_aggr: mean and variance from bn_stats results."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import enums
from opentrn.isa.costs import vector_cost
from opentrn.isa.operators import fold
from opentrn.isa.rules import same_partitions
from opentrn.isa.spec import Broken, Cost, Use, instruction, into, of
from opentrn.numerics.alu import ALU


@instruction(
    operands={"dst": into(), "data": of()},
    engines=(enums.engine.vector,),
    page="nki.isa.bn_aggr (SDK 2.32)",
    traits=("sums",),
)
def bn_aggr(dst, data, name=None):
    """Combine (count, mean, variance * count) triples of `bn_stats` into the mean and variance of all elements.

    ``data`` holds any number of triples per partition, ``dst`` two elements: mean, then variance. In float32.
    """


@bn_aggr.rule("c1", "documented", "data and dst have the same partitions")
def _(use: Use) -> None:
    same_partitions(use.data, use.dst)


@bn_aggr.rule("c2", "documented", "data has a multiple of three elements per partition")
def _(use: Use) -> None:
    if use.data.elements % 3:
        raise Broken(f"{use.data.elements} elements per partition", "a multiple of 3")


@bn_aggr.rule("c3", "documented", "dst has two elements per partition")
def _(use: Use) -> None:
    if use.dst.elements != 2:
        raise Broken(f"dst {use.dst.shape}", "2 elements per partition")


@bn_aggr.meaning
def _(use: Use) -> None:
    triples = use.data.f32().reshape(use.data.partitions, -1, 3)
    count, mean, spread = triples[..., 0], triples[..., 1], triples[..., 2]
    total = fold(ALU["add"], count)
    centre = fold(ALU["add"], count * mean) / total
    apart = fold(ALU["add"], spread + count * (mean - centre) ** 2)
    use.dst.store(np.concatenate([centre, apart / total], 1))


@bn_aggr.cost
def _(use: Use) -> Cost:
    return vector_cost(use, use.data.elements // 3, "bn_aggr_cycles_per_triple")


bn_aggr.differ(
    "The variance is about the combined mean, in opentrn's fixed order of 16 lanes; the order is not public."
)


@bn_aggr.shown
def _(m: SimpleNamespace) -> Any:
    def mean_and_variance(x: Any) -> Any:
        tile = m.nl.load(x)
        stats = m.nl.ndarray((x.shape[0], 6), dtype=m.nl.float32, buffer=m.nl.sbuf)
        m.nisa.bn_stats(dst=stats, data=tile)
        both = m.nl.ndarray((x.shape[0], 2), dtype=m.nl.float32, buffer=m.nl.sbuf)
        m.nisa.bn_aggr(dst=both, data=stats)
        out = m.nl.ndarray(both.shape, dtype=m.nl.float32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=both)
        return out

    return mean_and_variance, (m.np.arange(32, dtype=m.np.float32).reshape(4, 8),)
