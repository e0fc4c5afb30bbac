"""Shapes, selection, transposition and products of tiles, composed from instructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from opentrn.errors import UnsupportedError, ViewError
from opentrn.isa.enums import MemoryRegion
from opentrn.nki.functions import nisa
from opentrn.nki.language import ops
from opentrn.nki.language.memory import ndarray, shared_constant
from opentrn.nki.tensor import NkiTensor
from opentrn.numerics.dtypes import dtype as dtype_of
from opentrn.program.site import user_site
from opentrn.program.view import View

__all__ = [
    "broadcast_to", "expand_dims", "gather_flattened", "load_transpose2d", "matmul", "shared_identity_matrix",
    "transpose", "where",
]  # fmt: skip

BLOCK = 128


def expand_dims(x: View, axis: int) -> Any:
    """A view with a dimension of size 1 at `axis`."""
    return x.expand_dim(axis)


def broadcast_to(x: View, shape: Sequence[int], dtype: Any = None) -> Any:
    """A tile of `shape` with `x` repeated along its dimensions of size 1; `x` itself when nothing changes."""
    wanted = tuple(shape)
    if len(wanted) != x.ndim or any(n not in (m, 1) and m != n for n, m in zip(x.shape, wanted, strict=True)):
        raise ViewError(
            "broadcast_to",
            site=user_site(),
            got=f"{x.shape} to {wanted}",
            expected="the same rank, each size equal or 1",
        )
    if wanted == x.shape and (dtype is None or dtype_of(dtype).name == x.dtype):
        return x
    out = ndarray(wanted, dtype or x.dtype)
    source: Any = x
    for dim in range(1, x.ndim):
        if x.shape[dim] != wanted[dim]:
            source = source.broadcast(dim, wanted[dim])
    if wanted[0] == x.shape[0]:
        nisa.tensor_copy(dst=out, src=source)
    else:  # partitions are repeated by DMA: no engine writes one partition to many
        for row in range(wanted[0]):
            nisa.dma_copy(dst=out[row : row + 1], src=source)
    return out


def where(condition: View, x: Any, y: Any, dtype: Any = None) -> Any:
    """`x` where `condition` is not zero, else `y`; tiles or numbers."""
    kind = dtype or next((v.dtype for v in (x, y) if isinstance(v, View)), condition.dtype)
    out = ndarray(condition.shape, kind)
    if isinstance(y, View):
        nisa.tensor_copy(dst=out, src=y)
    else:
        nisa.memset(out, float(y) if out.dt.is_float else int(y))
    mask = ndarray(condition.shape, "uint8")
    nisa.tensor_scalar(dst=mask, data=condition, op0=ops.not_equal, operand0=0.0)
    source = x
    if isinstance(x, View) and x.dtype != out.dtype:
        source = ndarray(x.shape, out.dtype)
        nisa.tensor_copy(dst=source, src=x)
    nisa.tensor_copy_predicated(dst=out, src=source, predicate=mask)
    return out


def transpose(x: View, dtype: Any = None) -> Any:
    """A 2-D tile with partition and free dimension swapped, both at most 128."""
    if x.ndim != 2 or x.shape[1] > BLOCK:
        raise ViewError("nl.transpose", site=user_site(), got=str(x.shape), expected="a 2-D tile of at most 128 x 128")
    source: Any = x
    if x.buffer.value == "psum":
        source = ndarray(x.shape, x.dtype)
        nisa.tensor_copy(dst=source, src=x)
    flipped = ndarray((x.shape[1], x.shape[0]), x.dtype, MemoryRegion.psum)
    nisa.nc_transpose(dst=flipped, data=source)
    out = ndarray(flipped.shape, dtype or x.dtype)
    nisa.tensor_copy(dst=out, src=flipped)
    return out


def matmul(x: View, y: View, transpose_x: bool = False) -> Any:
    """``x @ y``, or ``x.T @ y`` with `transpose_x`, as a float32 PSUM tile."""
    left = x if transpose_x else transpose(x)
    out = ndarray((left.shape[1], y.shape[1]), "float32", MemoryRegion.psum)
    nisa.nc_matmul(dst=out, stationary=left, moving=y)
    return out


def load_transpose2d(src: View, dtype: Any = None) -> Any:
    """Load a 2-D HBM tensor into SBUF with its dimensions swapped."""
    if src.ndim != 2 or src.shape[1] > BLOCK:
        raise ViewError("nl.load_transpose2d", site=user_site(), got=str(src.shape), expected="(n, at most 128)")
    flipped = ndarray((src.shape[1], src.shape[0]), src.dtype)
    nisa.dma_transpose(dst=flipped, src=src)
    if dtype is None or dtype_of(dtype).name == src.dtype:
        return flipped
    out = ndarray(flipped.shape, dtype)
    nisa.tensor_copy(dst=out, src=flipped)
    return out


def gather_flattened(data: View, indices: View, axis: int = 0, dtype: Any = None) -> Any:
    """For each index of each partition, that element of the partition's flattened free dimensions."""
    if axis not in (0, 1):
        raise UnsupportedError(
            f"nl.gather_flattened(axis={axis})", site=user_site(), hint="axis 0 or 1: within a partition"
        )
    index: Any = indices
    if indices.dtype != "uint32":
        index = ndarray(indices.shape, "uint32")
        nisa.tensor_copy(dst=index, src=indices)
    gathered = ndarray(indices.shape, data.dtype)
    nisa.nc_n_gather(dst=gathered, data=data, indices=index)
    if dtype is None or dtype_of(dtype).name == data.dtype:
        return gathered
    out = ndarray(indices.shape, dtype)
    nisa.tensor_copy(dst=out, src=gathered)
    return out


def shared_identity_matrix(n: int, dtype: Any = "uint8", dst: Any = None) -> NkiTensor:
    """An n x n identity matrix in SBUF (in `dst` when given)."""
    kind = dtype_of(dtype if dst is None else dst.dtype)
    constant = shared_constant(np.eye(n, dtype=np.float32).astype(kind.carrier).view(kind.carrier))
    out = ndarray((n, n), kind.name) if dst is None else dst
    nisa.dma_copy(dst=out, src=constant)
    return out
