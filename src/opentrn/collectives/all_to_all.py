"""all_to_all: the n-th part of each rank's tensor goes to the n-th rank of the group."""

from __future__ import annotations

import numpy as np

from opentrn.collectives.ranks import (
    HBM_DSTS,
    HBM_SRCS,
    collective,
    cost_of,
    exchange,
    place,
    replica_group,
    same_kind,
)  # fmt: skip
from opentrn.isa import attributes as a
from opentrn.isa.spec import Broken, Cost, Use


@collective({"srcs": HBM_SRCS, "dsts": HBM_DSTS}, {"replica_group": replica_group, "collective_dim": a.integer})
def all_to_all(srcs, dsts, replica_group, collective_dim, priority=None, name=None):
    """Split each of ``srcs`` along dimension 0 and give part n to rank n of the group; ``dsts`` hold what came, by rank."""


@all_to_all.rule("c1", "documented", "srcs and dsts fit: equally many, one dtype")
def _(use: Use) -> None:
    same_kind(use, use.srcs, use.dsts)


@all_to_all.rule("c2", "documented", "dst is as large as src, which splits into equal parts along dimension 0")
def _(use: Use) -> None:
    for src, dst in zip(use.srcs, use.dsts, strict=True):
        if src.size != dst.size or any(src.size % len(group) for group in use.replica_group):
            raise Broken(f"{src.shape} into {dst.shape}", "equal sizes that the ranks of a group divide")
    if use.collective_dim != 0:
        raise Broken(f"collective_dim={use.collective_dim}", "0")


@all_to_all.meaning
def _(use: Use) -> None:
    brought = exchange(use, [src.flat().copy() for src in use.srcs])
    for n, dst in enumerate(use.dsts):
        dst.put(np.concatenate([np.split(parts[n], len(brought))[place(use)] for parts in brought]))


@all_to_all.cost
def _(use: Use) -> Cost:
    ranks = len(use.replica_group[0])
    return cost_of(use, use.dsts, use.srcs, ranks, (ranks - 1) / ranks or 1)
