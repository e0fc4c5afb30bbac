"""bn_stats: count, mean and variance * count of the even and the odd elements."""

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
    page="nki.isa.bn_stats (SDK 2.32)",
    traits=("sums",),
)
def bn_stats(dst, data, name=None):
    """Write six numbers per partition: count, mean and variance * count of the even elements, then of the odd ones.

    ``data`` has up to 512 elements per partition; the computation is in float32. `bn_aggr` combines the results.
    """


@bn_stats.rule("c1", "documented", "data and dst have the same partitions")
def _(use: Use) -> None:
    same_partitions(use.data, use.dst)


@bn_stats.rule("c2", "documented", "dst has six elements per partition")
def _(use: Use) -> None:
    if use.dst.elements != 6:
        raise Broken(f"dst {use.dst.shape}", "6 elements per partition")


@bn_stats.rule("c3", "documented", "data has at most 512 elements per partition")
def _(use: Use) -> None:
    if use.data.elements > use.chip.limits.bn_stats_fmax:
        raise Broken(f"{use.data.elements}", f"at most {use.chip.limits.bn_stats_fmax}", "one bn_stats for each 512")


def _statistics(values: np.ndarray) -> np.ndarray:
    """(P, 3) count, mean, variance * count; zeros for no elements."""
    count = values.shape[1]
    if not count:
        return np.zeros((len(values), 3), np.float32)
    mean = fold(ALU["add"], values) / np.float32(count)
    spread = fold(ALU["add"], (values - mean) ** 2)
    return np.concatenate([np.full((len(values), 1), count, np.float32), mean, spread], 1)


@bn_stats.meaning
def _(use: Use) -> None:
    values = use.data.f32()
    use.dst.store(np.concatenate([_statistics(values[:, 0::2]), _statistics(values[:, 1::2])], 1))


@bn_stats.cost
def _(use: Use) -> Cost:
    return vector_cost(use, use.data.elements, "cycles_per_element_bn_stats")


bn_stats.differ(
    "Two passes, mean first, summed in opentrn's fixed order of 16 lanes; how the Vector Engine sums is not public.",
    "With a single element the statistics of the (empty) odd half are zeros.",
)


@bn_stats.shown
def _(m: SimpleNamespace) -> Any:
    def moments(x: Any) -> Any:
        tile = m.nl.load(x)
        stats = m.nl.ndarray((x.shape[0], 6), dtype=m.nl.float32, buffer=m.nl.sbuf)
        m.nisa.bn_stats(dst=stats, data=tile)
        out = m.nl.ndarray(stats.shape, dtype=m.nl.float32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=stats)
        return out

    return moments, (m.np.arange(32, dtype=m.np.float32).reshape(4, 8),)
