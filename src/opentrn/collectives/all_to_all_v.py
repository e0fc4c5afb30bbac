"""all_to_all_v: parts of sizes that are known at run time, from each rank to each."""

from __future__ import annotations

from opentrn.collectives.ranks import HBM_DSTS, HBM_SRCS, collective, cost_of, replica_group
from opentrn.collectives.variable import METADATA, check_metadata, deliver, rows_of
from opentrn.isa import attributes as a
from opentrn.isa.spec import Cost, Use


@collective(
    {"srcs": HBM_SRCS, "dsts": HBM_DSTS, "metadata_tensor": METADATA},
    {"replica_group": replica_group, "recv_counts_known": a.boolean, "has_rdispls": a.boolean},
)
def all_to_all_v(
    srcs, dsts, replica_group, metadata_tensor, recv_counts_known=False, has_rdispls=False, priority=None, name=None
):
    """Each rank sends ``src[displ : displ + count]`` to each rank; where it lands, and the counts, see the metadata.

    Rows of ``metadata_tensor`` (uint32): counts to send, where they begin in ``src``, counts received (written, unless
    ``recv_counts_known``), and with ``has_rdispls`` where they go in ``dst``; without, each rank has an equal slot.
    """


@all_to_all_v.rule("c1", "documented", "one src, one dst, and metadata of 3 or 4 rows by the ranks of the group")
def _(use: Use) -> None:
    check_metadata(use)


@all_to_all_v.meaning
def _(use: Use) -> None:
    rows = rows_of(use)
    source = use.srcs[0].flat()
    parts = [source[begin : begin + count].copy() for count, begin in zip(rows[0], rows[1], strict=True)]
    deliver(use, rows, parts)


@all_to_all_v.cost
def _(use: Use) -> Cost:
    return cost_of(use, use.dsts, use.srcs, len(use.replica_group[0]), 1)
