"""Creating tensors, and moving them between HBM and SBUF (the pages of nki.language, SDK 2.26)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from opentrn.errors import LaunchError, UnsupportedError, ViewError
from opentrn.isa.enums import MemoryRegion
from opentrn.isa.spec import SBUF
from opentrn.nki.beta1 import state
from opentrn.nki.beta1.dtypes import name_of
from opentrn.nki.beta1.home import Home
from opentrn.nki.beta1.index import is_whole
from opentrn.nki.beta1.instruction import _without_ones, in_sbuf, issue, leave_out, region_of, stored, tile_operand
from opentrn.nki.beta1.operators import operator_name
from opentrn.nki.beta1.region import boxes
from opentrn.nki.beta1.tensor import Tensor, is_tensor, tensor_of
from opentrn.nki.functions import nisa
from opentrn.nki.language import constants
from opentrn.nki.language import memory as new
from opentrn.program.site import user_site

__all__ = [
    "atomic_rmw", "empty_like", "full", "hbm", "load", "load_transpose2d", "ndarray", "ones", "par_dim",
    "private_hbm", "psum", "sbuf", "shared_constant", "shared_hbm", "shared_identity_matrix", "store", "zeros", "zeros_like",
]  # fmt: skip

sbuf, psum = MemoryRegion.sbuf, MemoryRegion.psum
private_hbm, shared_hbm = MemoryRegion.private_hbm, MemoryRegion.shared_hbm
hbm = private_hbm


class par_dim(int):
    """A size that is marked as the partition dimension of a shape."""

    def __repr__(self) -> str:
        return f"par_dim({int(self)})"


class Placed:
    """A memory together with the places of a tensor's blocks: what ncc.sbuf.alloc and its like give."""

    def __init__(self, region: MemoryRegion, placement: Any = None) -> None:
        self.region, self.placement = region, placement


def _dims(shape: Any) -> tuple[tuple[int, ...], int]:
    """(sizes, where the partition dimension is)."""
    given = tuple(shape) if isinstance(shape, Sequence) else (shape,)
    bad = next((n for n in given if not is_whole(n)), None)
    if bad is not None or not given:
        raise ViewError("tensor shape", site=user_site(2), got=str(given), expected="compile-time integers")
    marked = [n for n, size in enumerate(given) if isinstance(size, par_dim)]
    return tuple(int(n) for n in given), marked[0] if marked else 0


def _home(shape: Any, dtype: Any, buffer: Any, name: str) -> Home:
    sizes, partition = _dims(shape)
    placed = buffer if isinstance(buffer, Placed) else Placed(sbuf if buffer is None else buffer)
    region = placed.region
    if not isinstance(region, MemoryRegion):
        raise LaunchError(
            "buffer=", site=user_site(2), got=repr(buffer), expected="nl.sbuf, nl.psum, nl.hbm, or an allocator"
        )
    count = partition if region.on_chip else 0
    if region is psum and count and placed.placement is None:
        region = _spilled(region)
    placement = placed.placement and state.placed(state.here(), placed.placement)
    return Home(sizes[count:], name_of(dtype), region, blocks=sizes[:count], name=name, placement=placement)


def _spilled(region: MemoryRegion) -> MemoryRegion:
    """Where blocks of a PSUM tensor go: to SBUF, once it has turned out that PSUM is too small for them."""
    run = state.now()
    run.spilled += 1
    return sbuf if run.spills else region


def ndarray(shape: Any, dtype: Any, *, buffer: Any = None, name: str = "", **_options: Any) -> Tensor:
    """A new, unwritten tensor; one tile for each block where ``nl.par_dim`` marks an inner dimension."""
    state.settle()
    home = _home(shape, dtype, buffer, name)
    home.reduced = set()
    if home.buffer is MemoryRegion.shared_hbm:
        return _shared(home)
    if not home.blocks:
        home.tile(())
    return Tensor(home)


def _shared(home: Home) -> Tensor:
    """Shared HBM is one tensor for all programs of the grid, matched by the order of allocation."""
    run = state.now()
    number, run.count = run.count, run.count + 1
    if number < len(run.shared):
        return run.shared[number]
    home.tile(())
    run.shared.append(Tensor(home))
    return run.shared[number]


def full(shape: Any, fill_value: Any, dtype: Any, *, buffer: Any = None, name: str = "", **options: Any) -> Tensor:
    """A new tensor filled with one value."""
    state.settle()
    home = _home(shape, dtype, buffer, name)
    if not home.buffer.on_chip:
        made = _shared(home) if home.buffer is MemoryRegion.shared_hbm else Tensor(home)
        new.assign(made.view_in(), fill_value)
        return made
    zero = home.buffer is MemoryRegion.psum and fill_value == 0
    if zero:
        home.zero = set(np.ndindex(*home.blocks))
        return Tensor(home)
    for block in np.ndindex(*home.blocks):
        new.assign(home.tile(block), fill_value)
    return Tensor(home)


def zeros(shape: Any, dtype: Any, *, buffer: Any = None, name: str = "", **options: Any) -> Tensor:
    """A new tensor of zeros. In PSUM the first matrix product that is added to all of it needs no memset."""
    return full(shape, 0, dtype, buffer=buffer, name=name, **options)


def ones(shape: Any, dtype: Any, *, buffer: Any = None, name: str = "", **options: Any) -> Tensor:
    """A new tensor of ones."""
    return full(shape, 1, dtype, buffer=buffer, name=name, **options)


def _like(a: Any, buffer: Any) -> Any:
    given = tile_operand(a, "nl.empty_like")
    return given.shape, given.home.dtype, buffer or (sbuf if given.on_chip else given.buffer)


def empty_like(a: Any, dtype: Any = None, *, buffer: Any = None, name: str = "", **options: Any) -> Tensor:
    """A new, unwritten tensor with the shape (and dtype) of `a`."""
    shape, own, where = _like(a, buffer)
    return ndarray(shape, dtype or own, buffer=where, name=name, **options)


def zeros_like(a: Any, dtype: Any = None, *, buffer: Any = None, name: str = "", **options: Any) -> Tensor:
    """A new tensor of zeros with the shape (and dtype) of `a`."""
    shape, own, where = _like(a, buffer)
    return zeros(shape, dtype or own, buffer=where, name=name, **options)


# ----------------------------------------------------------------- transfers
def _misplaced(what: str, operand: str, found: Tensor, expected: str, hint: str) -> LaunchError:
    """What AWS calls err_unsupported_memory (nki.errors.rst, SDK 2.26)."""
    return LaunchError(what, site=user_site(2), got=f"{operand} in {found.buffer.value}", expected=expected, hint=hint)


def _in_hbm(value: Any, what: str, operand: str) -> Tensor:
    given = tile_operand(value, what)
    if given.on_chip:
        raise _misplaced(what, operand, given, "a tensor in HBM", "copy between tiles with nl.copy")
    return given


def load(src: Any, *, mask: Any = None, dtype: Any = None, **options: Any) -> Tensor:
    """Load from HBM into SBUF: one DMA, or one for each box of the mask (nl.load, SDK 2.26)."""
    given = _in_hbm(src, "nl.load", "src")
    found = boxes(mask, given.shape)

    def record(dst: Tensor, fresh: bool) -> None:
        _transfer(dst, given, found, fresh)

    return issue(
        _at_least_two(given.shape), given.home.dtype, record, memories=SBUF, asked=dtype, dst=options.get("dst"),
        found=found if given.ndim > 1 else None,
    )  # fmt: skip


def _at_least_two(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape if len(shape) > 1 else (*shape, 1)


def _transfer(dst: Tensor, src: Tensor, found: list[Any], fresh: bool) -> None:
    """DMAs between two tensors that share a grid; a transfer may start at any partition."""
    whole = [tuple((0, n) for n in src.shape)]
    if found == whole:
        nisa.dma_copy(dst=dst.view_in(), src=src.view_in())
        return
    leave_out(dst, fresh)
    target = _without_ones(dst, src.shape)
    for box in found:
        nisa.dma_copy(dst=region_of(target, box), src=region_of(src, box))


def store(dst: Any, value: Any, *, mask: Any = None, **_options: Any) -> None:
    """Store into HBM; a tile in PSUM is copied to SBUF first (nl.store, SDK 2.26)."""
    target = _in_hbm(dst, "nl.store", "dst")
    if not is_tensor(value):
        state.settle()
        new.assign(stored(target.view_in()), value)
        return
    if not tensor_of(value).on_chip:
        raise _misplaced("nl.store", "value", tensor_of(value), "sbuf or psum", "load it first (nl.load)")
    state.settle()
    source = in_sbuf(tensor_of(value))
    if source.size != target.size:
        source = source.broadcast_to(target.shape)
    found = boxes(mask, target.shape)
    if found == [tuple((0, n) for n in target.shape)]:
        nisa.dma_copy(dst=stored(target.view_in()), src=source.view_in())
        return
    source = _without_ones(source, target.shape)
    for box in found:
        nisa.dma_copy(dst=stored(region_of(target, box)), src=region_of(source, box))


def load_transpose2d(src: Any, *, mask: Any = None, dtype: Any = None, **_options: Any) -> Tensor:
    """Load an HBM tensor (P, F) as a tile (F, P): the same bytes, read with the strides swapped."""
    given = _in_hbm(src, "nl.load_transpose2d", "src")
    if given.ndim != 2:
        raise ViewError("nl.load_transpose2d", site=user_site(), got=str(given.shape), expected="a 2-D tensor")
    flipped = given.permute((1, 0))
    found = [tuple(reversed(box)) for box in boxes(mask, given.shape)]
    return issue(
        flipped.shape,
        given.home.dtype,
        lambda dst, fresh: _transfer(dst, flipped, found, fresh),
        memories=SBUF,
        asked=dtype,
    )


def atomic_rmw(dst: Any, value: Any, op: Any, *, mask: Any = None, **_options: Any) -> None:
    """``dst = dst + value`` in HBM, at rows that a tile of indices names (nl.atomic_rmw, SDK 2.26)."""
    target = tile_operand(dst, "nl.atomic_rmw")
    if operator_name(op) != "add":
        raise UnsupportedError("nl.atomic_rmw", site=user_site(), got=repr(op), expected="np.add (SDK 2.26)")
    source = _source(value, target)
    state.settle()
    for box in boxes(mask, target.shape):
        there, here = stored(region_of(target, box)), region_of(source, box)
        nisa.dma_compute(dst=there, srcs=[here, there], reduce_op=new_add())


def new_add() -> Any:
    """The operator of additions."""
    from opentrn.nki.language.compose import op

    return op("add")


def _source(value: Any, target: Tensor) -> Tensor:
    if is_tensor(value):
        return _without_ones(tensor_of(value), target.shape)
    return full(target.shape, value, target.dtype)


# ----------------------------------------------------------------- constants
def shared_constant(constant: Any, dtype: Any = None, **_options: Any) -> Tensor:
    """A tensor in HBM that holds an array (nl.shared_constant, SDK 2.26)."""
    array = np.asarray(constant)
    kind = name_of(dtype if dtype is not None else _narrow(array.dtype))
    state.settle()
    from opentrn.nki.beta1.dtypes import shown

    return Tensor.of(constants.shared_constant(array.astype(shown(kind))))


def _narrow(dtype: np.dtype) -> Any:
    return {"float64": "float32", "int64": "int32", "uint64": "uint32"}.get(dtype.name, dtype)


def shared_identity_matrix(n: int, dtype: Any = np.uint8, **_options: Any) -> Tensor:
    """An n x n identity matrix in HBM (nl.shared_identity_matrix, SDK 2.26)."""
    return shared_constant(np.eye(n), dtype)
