"""`nki.collectives`: communication between ranks (nki.collectives, SDK 2.32).

What the calls do is described in `opentrn.collectives`; `nki.simulate_ranks` launches several ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentrn.collectives.all import COLLECTIVES
from opentrn.collectives.ranks import group_of
from opentrn.collectives.ranks import replica_group as groups_of
from opentrn.errors import LaunchError
from opentrn.isa.spec import Broken
from opentrn.nki.compat import accepts_older
from opentrn.nki.objects import NKIObject
from opentrn.nki.registers import VirtualRegister
from opentrn.nki.tensor import NkiTensor
from opentrn.program.recorder import active, public_function
from opentrn.program.site import user_site

__all__ = [
    "NKIObject", "NkiTensor", "ReplicaGroup", "all_gather", "all_gather_v", "all_reduce", "all_to_all", "all_to_all_v",
    "collective_permute", "collective_permute_implicit", "collective_permute_implicit_current_processing_rank_id",
    "collective_permute_implicit_reduce", "rank_id", "reduce_scatter",
]  # fmt: skip


class ReplicaGroup(NKIObject):
    """Groups of ranks that take part in a collective: lists without overlap."""

    def __init__(self, replica_groups: Any = None) -> None:
        self.replica_groups = replica_groups

    def __repr__(self) -> str:
        return f"ReplicaGroup({self.replica_groups!r})"


_RECORD: dict[str, Callable[..., Any]] = {name: public_function(made) for name, made in COLLECTIVES.items()}


def _group(value: Any) -> Any:
    """A ReplicaGroup as tuples, so that equal groups make one signature."""
    try:
        return groups_of.parse(value)
    except Broken:
        return value  # the instruction's own check says what is wrong


def _single(channels: Any) -> Any:
    """One tensor per channel, out of the public list of one-element lists."""
    if not isinstance(channels, (list, tuple)) or any(
        not isinstance(c, (list, tuple)) or len(c) != 1 for c in channels
    ):
        got = (
            [len(c) if isinstance(c, (list, tuple)) else repr(c) for c in channels]
            if isinstance(channels, list)
            else channels
        )
        raise LaunchError(
            "tensors by channel", site=user_site(2), got=str(got), expected="[[tensor], ...], one per channel"
        )
    return [c[0] for c in channels]


def all_reduce(srcs: Any, dsts: Any, replica_group: Any, op: Any, priority: Any = None, name: Any = None) -> Any:
    """Reduce over all ranks; every rank gets the result."""
    _RECORD["all_reduce"](srcs, dsts, _group(replica_group), op, priority, name)


def all_gather(
    srcs: Any, dsts: Any, replica_group: Any, collective_dim: Any, priority: Any = None, name: Any = None
) -> Any:
    """Concatenate the tensors of all ranks on every rank."""
    _RECORD["all_gather"](srcs, dsts, _group(replica_group), collective_dim, priority, name)


def all_gather_v(
    srcs: Any,
    dsts: Any,
    replica_group: Any,
    metadata_tensor: Any,
    recv_counts_known: Any = False,
    has_rdispls: Any = False,
    priority: Any = None,
    name: Any = None,
) -> Any:
    """all_gather of tensors whose sizes are known at run time."""
    more = (recv_counts_known, has_rdispls, priority, name)
    _RECORD["all_gather_v"](srcs, dsts, _group(replica_group), metadata_tensor, *more)


def reduce_scatter(
    srcs: Any, dsts: Any, replica_group: Any, collective_dim: Any, op: Any, priority: Any = None, name: Any = None
) -> Any:
    """Reduce over all ranks; every rank gets its part."""
    _RECORD["reduce_scatter"](srcs, dsts, _group(replica_group), collective_dim, op, priority, name)


def all_to_all(
    srcs: Any, dsts: Any, replica_group: Any, collective_dim: Any, priority: Any = None, name: Any = None
) -> Any:
    """Part j of rank i goes to rank j as part i."""
    _RECORD["all_to_all"](srcs, dsts, _group(replica_group), collective_dim, priority, name)


def all_to_all_v(
    srcs: Any,
    dsts: Any,
    replica_group: Any,
    metadata_tensor: Any,
    recv_counts_known: Any = False,
    has_rdispls: Any = False,
    priority: Any = None,
    name: Any = None,
) -> Any:
    """all_to_all of parts whose sizes are known at run time."""
    more = (recv_counts_known, has_rdispls, priority, name)
    _RECORD["all_to_all_v"](srcs, dsts, _group(replica_group), metadata_tensor, *more)


def collective_permute(srcs: Any, dsts: Any, source_target_pairs: Any, priority: Any = None, name: Any = None) -> Any:
    """Each source rank sends to its target rank."""
    _RECORD["collective_permute"](srcs, dsts, tuple(map(tuple, source_target_pairs)), priority, name)


def collective_permute_implicit(
    srcs_by_channel: Any,
    dsts_by_channel: Any,
    replica_group: Any,
    channel_ids: Any = [0],  # noqa: B006 - the public default
    priority: Any = None,
    name: Any = None,
) -> Any:
    """A permute along the ring of the group."""
    tensors = _single(srcs_by_channel), _single(dsts_by_channel)
    _RECORD["collective_permute_implicit"](*tensors, _group(replica_group), tuple(channel_ids), priority, name)


def collective_permute_implicit_reduce(
    srcs0_by_channel: Any,
    srcs1_by_channel: Any,
    dsts_by_channel: Any,
    replica_group: Any,
    op: Any,
    channel_ids: Any = [0],  # noqa: B006 - the public default
    priority: Any = None,
    name: Any = None,
) -> Any:
    """A permute along the ring that reduces on the way."""
    tensors = _single(srcs0_by_channel), _single(srcs1_by_channel), _single(dsts_by_channel)
    more = (_group(replica_group), op, tuple(channel_ids), priority, name)
    _RECORD["collective_permute_implicit_reduce"](*tensors, *more)


@accepts_older("nki.collectives.collective_permute_implicit_current_processing_rank_id")
def collective_permute_implicit_current_processing_rank_id(
    iteration_id: Any,
    replica_group: Any,
    channel_id: Any = 0,
    name: Any = None,
) -> Any:
    """The rank whose data iteration `iteration_id` of an implicit permute handles, as a register: one further back each time."""
    rank = active("collective_permute_implicit_current_processing_rank_id").state.rank
    group = group_of(groups_of.parse(replica_group), rank, "collective_permute_implicit")
    step = iteration_id.read() if isinstance(iteration_id, VirtualRegister) else iteration_id
    return VirtualRegister(group[(group.index(rank) - step) % len(group)])


def rank_id(name: Any = None) -> Any:
    """The rank of this device, as a register."""
    return VirtualRegister(active("nki.collectives.rank_id").state.rank)
