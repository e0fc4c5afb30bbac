"""What all_gather_v and all_to_all_v share: the metadata tensor, and the delivery of parts."""

from __future__ import annotations

import numpy as np

from opentrn.collectives.ranks import exchange, members, same_kind
from opentrn.errors import KernelError
from opentrn.isa.spec import HBM, SBUF, Broken, Use, into

__all__ = ["METADATA", "check_metadata", "deliver", "rows_of"]

METADATA = into(HBM | SBUF, role="inout", dtypes=frozenset({"uint32"}))


def check_metadata(use: Use) -> None:
    """Raise Broken unless there is one src, one dst, and a column of metadata for each rank of a group."""
    same_kind(use, use.srcs, use.dsts)
    if len(use.srcs) != 1:
        raise Broken(f"{len(use.srcs)} tensors", "one src and one dst")
    rows = 4 if use.has_rdispls else 3
    for group in use.replica_group:
        if use.metadata_tensor.size != rows * len(group):
            raise Broken(str(use.metadata_tensor.shape), f"({rows}, {len(group)}), with a leading 1 in SBUF")
        if use.dsts[0].size % len(group):
            raise Broken(str(use.dsts[0].shape), f"a size that {len(group)} ranks divide")


def rows_of(use: Use) -> np.ndarray:
    """The metadata as int64 (rows, ranks). Of row 2 the content is never used, so it need not be written."""
    columns = len(members(use))
    tile = use.metadata_tensor
    values, written = tile.moved()
    read = [0, 1, 3] if use.has_rdispls else [0, 1]
    if written is not None and not written.reshape(-1, columns)[read].all():
        tile.require_written()
    return values.reshape(-1, columns).astype(np.int64)


def deliver(use: Use, rows: np.ndarray, parts: list[np.ndarray]) -> None:
    """Send ``parts[n]`` to the n-th rank of the group; store what comes and how much it was."""
    dst, group = use.dsts[0], members(use)
    at = group.index(use.core.rank)
    brought = [sent[at] for sent in exchange(use, parts)]
    slot = dst.size // len(group)
    begins = rows[3] if use.has_rdispls else slot * np.arange(len(group))
    values, where = np.zeros(dst.size, dst.dt.carrier), np.zeros(dst.size, bool)
    for begin, part in zip(begins, brought, strict=True):
        if begin + part.size > (dst.size if use.has_rdispls else begin + slot):
            raise KernelError(
                f"{use.instruction.name} receives more than fits",
                got=f"{part.size} elements at {begin} of {dst.size}",
                expected=f"at most {slot} from each rank" if not use.has_rdispls else "parts inside dst",
            )
        values[begin : begin + part.size] = part
        where[begin : begin + part.size] = True
    dst.put(values, where)
    if not use.recv_counts_known:
        counts, chosen = rows.astype(np.uint32), np.zeros(rows.shape, bool)
        counts[2], chosen[2] = [part.size for part in brought], True
        use.metadata_tensor.put(counts, chosen)
