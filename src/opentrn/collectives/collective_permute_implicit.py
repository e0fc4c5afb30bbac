"""collective_permute_implicit: every rank of a ring sends to the next and receives from the one before."""

from __future__ import annotations

from opentrn.collectives.ranks import DSTS, SRCS, channels, collective, cost_of, permuted, replica_group, same_kind
from opentrn.isa.spec import Broken, Cost, Use


@collective(
    {"srcs_by_channel": SRCS, "dsts_by_channel": DSTS}, {"replica_group": replica_group, "channel_ids": channels}
)
def collective_permute_implicit(
    srcs_by_channel, dsts_by_channel, replica_group, channel_ids=(0,), priority=None, name=None
):
    """Send one tensor per channel to the next rank of the ring, which runs in the order of the group."""


@collective_permute_implicit.rule("c1", "documented", "one src and one dst per channel, of equal size and dtype")
def _(use: Use) -> None:
    for src, dst in zip(use.srcs_by_channel, use.dsts_by_channel, strict=False):
        same_kind(use, [src], [dst])
        if src.size != dst.size:
            raise Broken(f"{src.shape} into {dst.shape}", "equal sizes")
    if {len(use.srcs_by_channel), len(use.dsts_by_channel)} != {len(use.channel_ids)}:
        raise Broken(f"{len(use.srcs_by_channel)} and {len(use.dsts_by_channel)} tensors", f"{len(use.channel_ids)}")


@collective_permute_implicit.meaning
def _(use: Use) -> None:
    permuted(use, [src.flat().copy() for src in use.srcs_by_channel])


@collective_permute_implicit.cost
def _(use: Use) -> Cost:
    return cost_of(use, use.dsts_by_channel, use.srcs_by_channel, len(use.replica_group[0]), 1)


collective_permute_implicit.differ("All channels run round the ring in one direction, the order of the group.")
