"""Shapes of tiles, and choosing elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentrn.errors import UnsupportedError, ViewError
from opentrn.isa.enums import MemoryRegion
from opentrn.nki.functions import nisa
from opentrn.nki.language.compose import copied, in_sbuf, scalar, typed
from opentrn.nki.language.memory import assign, ndarray
from opentrn.nki.tensor import NkiTensor
from opentrn.program.site import user_site
from opentrn.program.view import View

__all__ = ["broadcast_to", "expand_dims", "gather_flattened", "where"]


def expand_dims(x: View, axis: int) -> Any:
    """A view with a dimension of size 1 at `axis`, which cannot be the partition's place (nl.expand_dims, SDK 2.32)."""
    return x.expand_dim(axis)


def broadcast_to(x: Any, shape: Sequence[int], dtype: Any = None) -> Any:
    """A tile of `shape` with `x` repeated along its dimensions of size 1 (nl.broadcast_to, SDK 2.32).

    `x` itself when it has the shape and dtype. Partitions are repeated through HBM: no engine reads one partition for
    many. Raises ViewError for another rank or a size that is neither equal nor 1.
    """
    wanted = tuple(shape)
    if len(wanted) != x.ndim or any(n not in (1, m) for n, m in zip(x.shape, wanted, strict=True)):
        raise ViewError("nl.broadcast_to", site=user_site(), got=f"{x.shape} to {wanted}",
                        expected="the same rank, and each size equal or 1 before")  # fmt: skip
    if wanted == x.shape:
        return typed(x, dtype or x.dtype)
    source = x if wanted[0] == x.shape[0] else _repeated_partition(x, wanted[0])
    for dim in range(1, x.ndim):
        source = source if source.shape[dim] == wanted[dim] else source.broadcast(dim, wanted[dim])
    return copied(source, dtype or x.dtype)


def _repeated_partition(x: Any, count: int) -> NkiTensor:
    scratch: Any = ndarray(x.shape, x.dtype, MemoryRegion.private_hbm)
    nisa.dma_copy(dst=scratch, src=in_sbuf(x))
    out = ndarray((count, *x.shape[1:]), x.dtype)
    nisa.dma_copy(dst=out, src=scratch.broadcast(0, count))
    return out


def where(condition: View, x: Any, y: Any, dtype: Any = None) -> NkiTensor:
    """`x` where `condition` is not zero, else `y`: tiles of the condition's shape, or numbers (nl.where, SDK 2.32)."""
    first = next((v for v in (x, y) if isinstance(v, View)), condition)
    out = ndarray(condition.shape, dtype or first.dtype)
    assign(out, y)
    mask = scalar(condition, "not_equal", 0.0, "uint8")
    nisa.tensor_copy_predicated(dst=out, src=typed(x, out.dtype) if isinstance(x, View) else x, predicate=mask)
    return out


def gather_flattened(data: View, indices: View, axis: int = 0, dtype: Any = None) -> Any:
    """``data[p, indices[p, i]]`` at ``[p, i]``, free dimensions flattened (nl.gather_flattened, SDK 2.32).

    Raises UnsupportedError for an `axis` other than 0: what another one means is not documented.
    """
    if axis != 0:
        raise UnsupportedError("nl.gather_flattened", site=user_site(), got=f"axis={axis}", expected="axis=0")
    out = ndarray(indices.shape, data.dtype)
    nisa.nc_n_gather(dst=out, data=in_sbuf(data), indices=in_sbuf(indices, "uint32"))
    return typed(out, dtype or data.dtype)
