"""`nki.collectives`: communication between chips (nki.collectives, SDK 2.32).

Signatures are the public ones; the values are not modelled yet, so every call raises UnsupportedError.
"""

from __future__ import annotations

from typing import Any, NoReturn

from opentrn.errors import UnsupportedError
from opentrn.nki.compat import accepts_older
from opentrn.nki.objects import NKIObject
from opentrn.nki.tensor import NkiTensor
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


def _unmodelled(name: str) -> NoReturn:
    raise UnsupportedError(
        f"nki.collectives.{name}: collectives are not modelled yet",
        site=user_site(2),
        hint="test the part of the kernel between collectives; nisa.sendrecv works between two cores",
    )


def all_reduce(srcs: Any, dsts: Any, replica_group: Any, op: Any, priority: Any = None, name: Any = None) -> Any:
    """Reduce over all ranks; every rank gets the result."""
    _unmodelled("all_reduce")


def all_gather(
    srcs: Any, dsts: Any, replica_group: Any, collective_dim: Any, priority: Any = None, name: Any = None
) -> Any:
    """Concatenate the tensors of all ranks on every rank."""
    _unmodelled("all_gather")


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
    _unmodelled("all_gather_v")


def reduce_scatter(
    srcs: Any, dsts: Any, replica_group: Any, collective_dim: Any, op: Any, priority: Any = None, name: Any = None
) -> Any:
    """Reduce over all ranks; every rank gets its part."""
    _unmodelled("reduce_scatter")


def all_to_all(
    srcs: Any, dsts: Any, replica_group: Any, collective_dim: Any, priority: Any = None, name: Any = None
) -> Any:
    """Part j of rank i goes to rank j as part i."""
    _unmodelled("all_to_all")


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
    _unmodelled("all_to_all_v")


def collective_permute(srcs: Any, dsts: Any, source_target_pairs: Any, priority: Any = None, name: Any = None) -> Any:
    """Each source rank sends to its target rank."""
    _unmodelled("collective_permute")


def collective_permute_implicit(
    srcs_by_channel: Any,
    dsts_by_channel: Any,
    replica_group: Any,
    channel_ids: Any = [0],  # noqa: B006 - the public default
    priority: Any = None,
    name: Any = None,
) -> Any:
    """A permute along the ring of the group."""
    _unmodelled("collective_permute_implicit")


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
    _unmodelled("collective_permute_implicit_reduce")


@accepts_older("nki.collectives.collective_permute_implicit_current_processing_rank_id")
def collective_permute_implicit_current_processing_rank_id(
    iteration_id: Any,
    replica_group: Any,
    channel_id: Any = 0,
    name: Any = None,
) -> Any:
    """The rank whose data an iteration of the implicit permute handles."""
    _unmodelled("collective_permute_implicit_current_processing_rank_id")


def rank_id(name: Any = None) -> Any:
    """The rank of this device, as a register."""
    _unmodelled("rank_id")
