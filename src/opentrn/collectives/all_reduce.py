"""all_reduce: reduce tensors over all ranks of a group; every rank gets the result."""

from __future__ import annotations

from opentrn.collectives.ranks import (
    DSTS,
    SRCS,
    collective,
    cost_of,
    exchange,
    op,
    op_rule,
    reduced,
    replica_group,
    same_kind,
)
from opentrn.isa.spec import Broken, Cost, Use


@collective({"srcs": SRCS, "dsts": DSTS}, {"replica_group": replica_group, "op": op})
def all_reduce(srcs, dsts, replica_group, op, priority=None, name=None):
    """Reduce ``srcs`` over all ranks of the group with ``op`` into ``dsts`` of every rank: in float32, rounded once."""


@all_reduce.rule("c1", "documented", "srcs and dsts fit: equally many, one memory, one dtype, several only in HBM")
def _(use: Use) -> None:
    same_kind(use, use.srcs, use.dsts)


@all_reduce.rule("c2", "documented", "the operator is nl.add, nl.minimum or nl.maximum")
def _(use: Use) -> None:
    op_rule(use)


@all_reduce.rule("c3", "inferred", "each dst has as many elements as its src")
def _(use: Use) -> None:
    for src, dst in zip(use.srcs, use.dsts, strict=True):
        if src.size != dst.size:
            raise Broken(f"{src.shape} into {dst.shape}", "equally many elements")


@all_reduce.meaning
def _(use: Use) -> None:
    brought = exchange(use, [src.flat().copy() for src in use.srcs])
    for n, dst in enumerate(use.dsts):
        dst.put(reduced(use, dst, [terms[n] for terms in brought]))


@all_reduce.cost
def _(use: Use) -> Cost:
    ranks = len(use.replica_group[0])
    return cost_of(use, use.dsts, use.srcs, ranks, 2 * (ranks - 1) / ranks or 1)


all_reduce.differ(
    "Ranks are reduced in the group's order in float32, rounded once; the chip's order depends on its algorithm."
)
