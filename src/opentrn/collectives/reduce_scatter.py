"""reduce_scatter: reduce tensors over all ranks of a group; every rank gets its part of the result."""

from __future__ import annotations

import numpy as np

from opentrn.collectives.ranks import (
    DSTS,
    SRCS,
    collective,
    cost_of,
    exchange,
    op,
    op_rule,
    place,
    reduced,
    replica_group,
    same_kind,
    splits,
)  # fmt: skip
from opentrn.isa import attributes as a
from opentrn.isa.spec import Broken, Cost, Use


@collective({"srcs": SRCS, "dsts": DSTS}, {"replica_group": replica_group, "collective_dim": a.integer, "op": op})
def reduce_scatter(srcs, dsts, replica_group, collective_dim, op, priority=None, name=None):
    """Reduce ``srcs`` over all ranks; the n-th rank of the group gets the n-th part along dimension 0 in ``dsts``."""


@reduce_scatter.rule("c1", "documented", "srcs and dsts fit: equally many, one memory, one dtype, several only in HBM")
def _(use: Use) -> None:
    same_kind(use, use.srcs, use.dsts)


@reduce_scatter.rule("c2", "documented", "the operator is nl.add, nl.minimum or nl.maximum")
def _(use: Use) -> None:
    op_rule(use)


@reduce_scatter.rule("c3", "documented", "src is dst times the ranks of the group along dimension 0")
def _(use: Use) -> None:
    for src, dst in zip(use.srcs, use.dsts, strict=True):
        splits(use, src, dst, use.collective_dim)
    if use.collective_dim != 0:
        raise Broken(f"collective_dim={use.collective_dim}", "0")


@reduce_scatter.meaning
def _(use: Use) -> None:
    brought = exchange(use, [src.flat().copy() for src in use.srcs])
    for n, dst in enumerate(use.dsts):
        mine = [np.split(terms[n], len(brought))[place(use)] for terms in brought]
        dst.put(reduced(use, dst, mine))


@reduce_scatter.cost
def _(use: Use) -> Cost:
    ranks = len(use.replica_group[0])
    return cost_of(use, use.dsts, use.srcs, ranks, (ranks - 1) / ranks or 1)


reduce_scatter.differ(
    "Ranks are reduced in the group's order in float32, rounded once; the chip's order depends on its algorithm."
)
