"""collective_permute_implicit_reduce: reduce two tensors, send the result to the next rank of the ring."""

from __future__ import annotations

from opentrn.collectives.ranks import (
    DSTS,
    SRCS,
    channels,
    collective,
    cost_of,
    op,
    op_rule,
    permuted,
    reduced,
    replica_group,
    same_kind,
)  # fmt: skip
from opentrn.isa.spec import Broken, Cost, Use


@collective(
    {"srcs0_by_channel": SRCS, "srcs1_by_channel": SRCS, "dsts_by_channel": DSTS},
    {"replica_group": replica_group, "op": op, "channel_ids": channels},
)
def collective_permute_implicit_reduce(
    srcs0_by_channel,
    srcs1_by_channel,
    dsts_by_channel,
    replica_group,
    op,
    channel_ids=(0,),
    priority=None,
    name=None,
):
    """Per channel: ``op(src0, src1)`` goes to the next rank of the ring; ``dst`` holds what the one before sent."""


@collective_permute_implicit_reduce.rule(
    "c1", "documented", "two srcs and one dst per channel, of equal size and dtype"
)
def _(use: Use) -> None:
    lists = (use.srcs0_by_channel, use.srcs1_by_channel, use.dsts_by_channel)
    if {len(tiles) for tiles in lists} != {len(use.channel_ids)}:
        raise Broken(" and ".join(str(len(tiles)) for tiles in lists) + " tensors", f"{len(use.channel_ids)}")
    for tiles in zip(*lists, strict=True):
        same_kind(use, *([tile] for tile in tiles))
        if len({tile.size for tile in tiles}) != 1:
            raise Broken(str([tile.shape for tile in tiles]), "equal sizes")


@collective_permute_implicit_reduce.rule("c2", "documented", "the operator is nl.add, nl.minimum or nl.maximum")
def _(use: Use) -> None:
    op_rule(use)


@collective_permute_implicit_reduce.meaning
def _(use: Use) -> None:
    both = zip(use.srcs0_by_channel, use.srcs1_by_channel, strict=True)
    permuted(use, [reduced(use, left, [left.flat(), right.flat()]) for left, right in both])


@collective_permute_implicit_reduce.cost
def _(use: Use) -> Cost:
    return cost_of(use, use.dsts_by_channel, use.srcs0_by_channel, len(use.replica_group[0]), 2)


collective_permute_implicit_reduce.differ("All channels run round the ring in one direction, the order of the group.")
