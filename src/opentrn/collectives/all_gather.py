"""all_gather: every rank gets the tensors of all ranks of its group, one after another."""

from __future__ import annotations

import numpy as np

from opentrn.collectives.ranks import DSTS, SRCS, collective, cost_of, exchange, replica_group, same_kind, splits
from opentrn.isa import attributes as a
from opentrn.isa.spec import Cost, Use


@collective({"srcs": SRCS, "dsts": DSTS}, {"replica_group": replica_group, "collective_dim": a.integer})
def all_gather(srcs, dsts, replica_group, collective_dim, priority=None, name=None):
    """Concatenate each of ``srcs`` of all ranks of the group along ``collective_dim`` into ``dsts`` of every rank.

    In HBM the dimension is 0; in SBUF it is 0 (partitions) or 1 (elements).
    """


@all_gather.rule("c1", "documented", "srcs and dsts fit: equally many, one memory, one dtype, several only in HBM")
def _(use: Use) -> None:
    same_kind(use, use.srcs, use.dsts)


@all_gather.rule("c2", "documented", "dst is src times the ranks of the group along collective_dim")
def _(use: Use) -> None:
    for src, dst in zip(use.srcs, use.dsts, strict=True):
        splits(use, dst, src, use.collective_dim)


@all_gather.meaning
def _(use: Use) -> None:
    by_partition = use.collective_dim == 1
    brought = exchange(use, [src.raw().copy() if by_partition else src.flat().copy() for src in use.srcs])
    for n, dst in enumerate(use.dsts):
        dst.put(np.concatenate([parts[n] for parts in brought], axis=1 if by_partition else 0))


@all_gather.cost
def _(use: Use) -> Cost:
    ranks = len(use.replica_group[0])
    return cost_of(use, use.dsts, use.srcs, ranks, max(1, ranks - 1))
