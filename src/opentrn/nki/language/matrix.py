"""Transposes and matrix products."""

from __future__ import annotations

from typing import Any

from opentrn.errors import ViewError
from opentrn.isa.enums import MemoryRegion
from opentrn.nki.functions import nisa
from opentrn.nki.language.compose import copied, in_sbuf, typed
from opentrn.nki.language.memory import ndarray
from opentrn.nki.tensor import NkiTensor
from opentrn.numerics.dtypes import dtype as dtype_of
from opentrn.program.recorder import ACTIVE
from opentrn.program.site import user_site
from opentrn.program.view import View

__all__ = ["load_transpose2d", "matmul", "transpose"]


def _two_dimensional(what: str, x: View) -> None:
    if not isinstance(x, View) or x.ndim != 2:
        raise ViewError(what, site=user_site(), got=str(getattr(x, "shape", x)), expected="a 2-D tensor")


def transpose(x: View, dtype: Any = None) -> NkiTensor:
    """A new PSUM tile with the values of `x` (P, F), at most (128, 128), as (F, P) (nl.transpose, SDK 2.32)."""
    _two_dimensional("nl.transpose", x)
    assert ACTIVE.recorder is not None  # a tile exists only in a kernel
    limit = tuple(ACTIVE.recorder.chip.limits.nc_transpose_tensor_max)
    if x.shape[1] > limit[1]:
        raise ViewError("nl.transpose", site=user_site(), got=str(x.shape), expected=f"at most {limit}")
    flipped = ndarray((x.shape[1], x.shape[0]), x.dtype, MemoryRegion.psum)
    nisa.nc_transpose(dst=flipped, data=in_sbuf(x))
    if dtype is None or dtype_of(dtype).name == x.dtype:
        return flipped
    out = ndarray(flipped.shape, dtype, MemoryRegion.psum)
    nisa.tensor_copy(dst=out, src=flipped)
    return out


def matmul(x: View, y: View, transpose_x: bool = False) -> NkiTensor:
    """``x @ y``, or ``x.T @ y`` with `transpose_x`, as a new float32 PSUM tile (nl.matmul, SDK 2.32).

    `x` is at most (128, 128) and `y` (128, 512), both in SBUF.
    """
    _two_dimensional("nl.matmul x", x)
    _two_dimensional("nl.matmul y", y)
    left = x if transpose_x else copied(transpose(x))
    out = ndarray((left.shape[1], y.shape[1]), "float32", MemoryRegion.psum)
    nisa.nc_matmul(dst=out, stationary=left, moving=y)
    return out


def load_transpose2d(src: View, dtype: Any = None) -> NkiTensor:
    """A new SBUF tile (F, P) with the values of an HBM tensor (P, F), F at most 128 (nl.load_transpose2d, SDK 2.32)."""
    _two_dimensional("nl.load_transpose2d", src)
    out = ndarray((src.shape[1], src.shape[0]), src.dtype)
    nisa.dma_transpose(dst=out, src=src)
    return typed(out, dtype or src.dtype)
