"""all_gather_v: every rank gets a part of each rank's tensor, of a size that is known at run time."""

from __future__ import annotations

from opentrn.collectives.ranks import HBM_DSTS, HBM_SRCS, collective, cost_of, replica_group
from opentrn.collectives.variable import METADATA, check_metadata, deliver, rows_of
from opentrn.isa import attributes as a
from opentrn.isa.spec import Cost, Use


@collective(
    {"srcs": HBM_SRCS, "dsts": HBM_DSTS, "metadata_tensor": METADATA},
    {"replica_group": replica_group, "recv_counts_known": a.boolean, "has_rdispls": a.boolean},
)
def all_gather_v(
    srcs, dsts, replica_group, metadata_tensor, recv_counts_known=False, has_rdispls=False, priority=None, name=None
):
    """Each rank sends one part of its tensor, ``src[displ : displ + count]``, to every rank of the group.

    Rows of ``metadata_tensor`` as in all_to_all_v; of the first two only the first column is read.
    """


@all_gather_v.rule("c1", "documented", "one src, one dst, and metadata of 3 or 4 rows by the ranks of the group")
def _(use: Use) -> None:
    check_metadata(use)


@all_gather_v.meaning
def _(use: Use) -> None:
    rows = rows_of(use)
    count, begin = int(rows[0][0]), int(rows[1][0])
    deliver(use, rows, [use.srcs[0].flat()[begin : begin + count].copy()] * rows.shape[1])


@all_gather_v.cost
def _(use: Use) -> Cost:
    return cost_of(use, use.dsts, use.srcs, len(use.replica_group[0]), max(1, len(use.replica_group[0]) - 1))
