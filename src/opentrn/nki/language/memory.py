"""Creating tensors, and moving them between HBM and SBUF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from sys import _getframe
from typing import Any, NoReturn

import numpy as np

from opentrn.errors import AddressError, LaunchError, ViewError
from opentrn.isa.enums import MemoryRegion
from opentrn.nki.compat import deprecated
from opentrn.nki.functions import nisa
from opentrn.nki.tensor import NkiTensor
from opentrn.numerics.dtypes import dtype as dtype_of
from opentrn.program.recorder import active
from opentrn.program.site import user_site
from opentrn.program.view import View

__all__ = [
    "assign", "empty_like", "full", "is_hbm", "is_on_chip", "is_psum", "is_sbuf", "load", "ndarray", "ones",
    "store", "zeros", "zeros_like",
]  # fmt: skip


def _region(buffer: Any) -> MemoryRegion:
    if isinstance(buffer, MemoryRegion):
        return buffer
    if buffer is None:
        return MemoryRegion.sbuf
    named = _NAMES.get(buffer) if isinstance(buffer, str) else None
    if named is None:
        raise LaunchError(
            "memory of a tensor",
            site=user_site(2),
            got=repr(buffer),
            expected="nl.sbuf, nl.psum, nl.hbm, nl.private_hbm or nl.shared_hbm",
        )
    deprecated(f"the memory {buffer!r} as a string is a spelling of NKI before 0.3.0: write nl.{buffer}")
    return named


_NAMES = {"hbm": MemoryRegion.private_hbm} | {region.value: region for region in MemoryRegion}


def _shape(shape: Any) -> tuple[int, ...]:
    sizes = shape if type(shape) is tuple else (shape,) if hasattr(shape, "__index__") else tuple(shape)
    for n in sizes:
        if type(n) is not int:
            return _shape(_plain(sizes))
        if n < 1:
            break
    else:
        if sizes:
            return sizes
    raise ViewError("tensor shape", site=user_site(2), got=str(sizes), expected="one or more positive sizes")


def _plain(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    try:
        return tuple(int(n.__index__()) for n in sizes)
    except AttributeError:
        raise ViewError("tensor shape", site=user_site(2), got=str(sizes), expected="compile-time integers") from None


class _Allocating(type):
    """Makes ``isinstance(t, nl.ndarray)`` true for tensors."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, View)


class ndarray(metaclass=_Allocating):
    """A new, unwritten tensor; calling gives an NkiTensor. A class, because kernels annotate with it (``nl.ndarray | None``).

    `address` is (partition, byte offset within the partition), for SBUF and PSUM.
    """

    def __new__(  # type: ignore[misc]
        cls,
        shape: Sequence[int],
        dtype: Any,
        buffer: Any = MemoryRegion.sbuf,
        name: str | None = "",
        address: Any = None,
    ) -> NkiTensor:
        core = active("nl.ndarray").state
        sizes, kind = _shape(shape), dtype_of(dtype)
        region = buffer if type(buffer) is MemoryRegion else _region(buffer)
        if region.on_chip and sizes[0] > core.chip.memory.partitions:
            _refuse_partitions(sizes, region, core.chip.memory.partitions)
        where = None if address is None else _place(address, region)
        place = core.recorder.place(_getframe(1))
        return NkiTensor.whole(core.new_tensor(sizes, kind, region, name or "", where, place))


def _refuse_partitions(sizes: tuple[int, ...], region: MemoryRegion, partitions: int) -> NoReturn:
    raise ViewError(
        f"nl.ndarray in {region.value}",
        site=user_site(2),
        got=f"{sizes[0]} partitions of shape {sizes}",
        expected=f"at most {partitions} (the first dimension is the partition)",
        hint="split the first dimension into tiles, or move part of it behind (reshape)",
    )


def _place(address: Any, region: MemoryRegion) -> tuple[int, int]:
    if not region.on_chip or not isinstance(address, Sequence) or len(address) != 2:
        raise AddressError(
            "nl.ndarray address",
            site=user_site(2),
            got=f"{address!r} in {region.value}",
            expected="(partition, byte offset) of a tensor in SBUF or PSUM",
        )
    return int(address[0]), int(address[1])


def full(
    shape: Sequence[int], fill_value: Any, dtype: Any, buffer: Any = MemoryRegion.sbuf, name: str = ""
) -> NkiTensor:
    """A new tensor filled with one value."""
    made = ndarray(shape, dtype, buffer, name)
    assign(made, fill_value)
    return made


def zeros(shape: Sequence[int], dtype: Any, buffer: Any = MemoryRegion.sbuf, name: str = "") -> NkiTensor:
    """A new tensor of zeros."""
    return full(shape, 0, dtype, buffer, name)


def ones(shape: Sequence[int], dtype: Any, buffer: Any = MemoryRegion.sbuf, name: str = "") -> NkiTensor:
    """A new tensor of ones."""
    return full(shape, 1, dtype, buffer, name)


def zeros_like(x: View, dtype: Any = None, buffer: Any = None, name: str = "") -> NkiTensor:
    """Zeros in the shape, dtype and memory of `x`, unless given."""
    return zeros(x.shape, dtype or x.dtype, buffer or x.buffer, name)


def empty_like(x: View, dtype: Any = None, buffer: Any = None, name: str = "") -> NkiTensor:
    """An unwritten tensor in the shape, dtype and memory of `x`, unless given."""
    return ndarray(x.shape, dtype or x.dtype, buffer or x.buffer, name)


def load(src: View, dtype: Any = None) -> NkiTensor:
    """Load a tensor from HBM into a new SBUF tile."""
    tile = ndarray(src.shape, dtype or src.dtype)
    nisa.dma_copy(dst=tile, src=src)
    return tile


def store(dst: View, value: View) -> None:
    """Store an SBUF tile into HBM."""
    nisa.dma_copy(dst=dst, src=value)


def assign(dst: View, value: Any) -> None:
    """Write a tensor or a number into `dst` with the instruction that its memory calls for."""
    if isinstance(value, View):
        copy = nisa.tensor_copy if dst.on_chip and value.on_chip else nisa.dma_copy
        copy(dst=dst, src=value)
    elif dst.on_chip:
        nisa.memset(dst=dst, value=_number(value, dst))
    else:
        _fill_hbm(dst, _number(value, dst))


def _number(value: Any, dst: View) -> float | int:
    """A number as memset wants it: int for integer tiles. One with a fraction stays, and memset refuses it."""
    plain: Any = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, (int, float)):
        raise LaunchError("writing into a tensor", site=user_site(2), got=f"{value!r} ({type(value).__name__})"[:200],
                          expected="a tensor of the kernel, or a number")  # fmt: skip
    if dst.dt.is_float:
        return float(plain)
    if dst.dt.kind == "bool":
        return int(bool(plain))
    number = float(plain)
    return int(plain) if number.is_integer() else number


def _fill_hbm(dst: View, number: float | int) -> None:
    """HBM has no memset: the constant goes through SBUF."""
    parts = list(pieces(dst))
    rows, columns = (max(part[n] for part in parts) for n in (1, 2))
    tile = ndarray((rows, columns), dst.dtype)
    nisa.memset(dst=tile, value=number)
    for part, height, width in parts:
        nisa.dma_copy(dst=part, src=tile[:height, :width])


def pieces(dst: Any) -> Iterator[tuple[Any, int, int]]:
    """`dst` in parts that fit a tile: (part, rows, columns of the tile), with as many elements as the part has."""
    if dst.ndim == 1 or dst.is_contiguous():
        flat = dst.reshape((dst.size,))
        yield from _flat_pieces(flat, flat.size)
    elif dst[0].size <= _WIDTH:
        height = _height()
        for start in range(0, dst.shape[0], height):
            part = dst[start : min(start + height, dst.shape[0])]
            yield part, part.shape[0], dst[0].size
    else:
        for row in range(dst.shape[0]):
            yield from pieces(dst[row])


def _flat_pieces(flat: Any, size: int) -> Iterator[tuple[Any, int, int]]:
    start, height = 0, _height()
    while start < size:
        rows = min(height, size - start)
        columns = min(_WIDTH, (size - start) // rows)
        yield flat[start : start + rows * columns], rows, columns
        start += rows * columns


def _height() -> int:
    return active("nl.full").chip.limits.pmax


_WIDTH = 2048
"""Elements per partition of the tiles through which HBM is filled: large DMAs, little SBUF."""


def is_hbm(buffer: Any) -> bool:
    """True for any HBM."""
    return _region(buffer).is_hbm


def is_on_chip(buffer: Any) -> bool:
    """True for SBUF and PSUM."""
    return _region(buffer).on_chip


def is_psum(buffer: Any) -> bool:
    """True for PSUM."""
    return _region(buffer) is MemoryRegion.psum


def is_sbuf(buffer: Any) -> bool:
    """True for SBUF."""
    return _region(buffer) is MemoryRegion.sbuf
