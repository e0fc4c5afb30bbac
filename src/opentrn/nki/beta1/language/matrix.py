"""Matrix products, transposes and shapes (the pages of nki.language, SDK 2.26)."""

from __future__ import annotations

from typing import Any

from opentrn.nki.beta1 import state
from opentrn.nki.beta1.dtypes import name_of
from opentrn.nki.beta1.instruction import Call, composed, fitted, in_sbuf, region_of, tile_operand
from opentrn.nki.beta1.isa import matrix
from opentrn.nki.beta1.language.elementwise import copy
from opentrn.nki.beta1.tensor import Tensor, is_tensor, tensor_of
from opentrn.nki.functions import nisa
from opentrn.nki.language import random as rng
from opentrn.nki.language import shapes
from opentrn.nki.language.memory import ndarray as new_tile

__all__ = [
    "broadcast_to", "dropout", "expand_dims", "gather_flattened", "matmul", "rand", "random_seed", "transpose", "where",
]  # fmt: skip


def matmul(x: Any, y: Any, *, transpose_x: bool = False, mask: Any = None, **_options: Any) -> Tensor:
    """``x @ y``, or ``x.T @ y`` with `transpose_x`: a float32 tile in PSUM (nl.matmul, SDK 2.26)."""
    left, right = in_sbuf(tile_operand(x, "nl.matmul")), in_sbuf(tile_operand(y, "nl.matmul"))
    if not transpose_x:
        left = in_sbuf(matrix.nc_transpose(left))
    return matrix.nc_matmul(left, right, mask=mask)


def transpose(x: Any, *, dtype: Any = None, mask: Any = None, **_options: Any) -> Tensor:
    """The tile with its partition and free dimensions swapped, on the Tensor Engine."""
    return matrix.nc_transpose(in_sbuf(tile_operand(x, "nl.transpose")), dtype=dtype, mask=mask)


def broadcast_to(src: Any, *, shape: Any, dtype: Any = None, **_options: Any) -> Tensor:
    """A tile of `shape` with `src` repeated (nl.broadcast_to, SDK 2.26); `src` itself where it has that shape."""
    given = tile_operand(src, "nl.broadcast_to")
    wide = given.broadcast_to(shape)
    same = wide is given and (dtype is None or name_of(dtype) == given.home.dtype)
    return wide if same else copy(wide, dtype=dtype)


def expand_dims(data: Any, axis: Any) -> Tensor:
    """A view with dimensions of size 1 at `axis`."""
    return tile_operand(data, "nl.expand_dims").expand_dims(axis)


def where(condition: Any, x: Any, y: Any, *, dtype: Any = None, mask: Any = None, **_options: Any) -> Tensor:
    """`x` where `condition` is not zero, else `y`: tiles, or numbers."""
    test = tile_operand(condition, "nl.where")
    tiles = [tensor_of(v) for v in (x, y) if is_tensor(v)]
    kind = name_of(dtype) if dtype is not None else (tiles[0].home.dtype if tiles else "float32")
    parts = [fitted(tensor_of(v), test.shape) if is_tensor(v) else v for v in (x, y)]

    def make(box: Any) -> Any:
        first, second = (region_of(v, box) if isinstance(v, Tensor) else v for v in parts)
        return shapes.where(region_of(test, box), first, second, kind)

    return composed(test.shape, kind, make, mask=mask, asked=dtype)


def gather_flattened(data: Any, indices: Any, *, mask: Any = None, dtype: Any = None, **_options: Any) -> Tensor:
    """``data[p, indices[p, i]]`` at ``[p, i]``, free dimensions flattened."""
    given, index = tile_operand(data, "nl.gather_flattened"), tile_operand(indices, "nl.gather_flattened")
    source, places = in_sbuf(given), in_sbuf(index)

    def make(box: Any) -> Any:
        return shapes.gather_flattened(source.view_in(), region_of(places, box), 0, name_of(dtype or given.home.dtype))

    return composed(index.shape, given.home.dtype, make, mask=mask, asked=dtype)


def rand(shape: Any, dtype: Any = "float32", **_options: Any) -> Tensor:
    """A tile of uniform random numbers in [0, 1)."""
    state.settle()
    return Tensor.of(rng.rand(tuple(shape), name_of(dtype)))


def random_seed(seed: Any, *, mask: Any = None, **_options: Any) -> None:
    """Seed the generator that `rand` draws from, with a number or a tile of one element."""
    state.settle()
    if is_tensor(seed):
        rng.random_seed(tensor_of(seed).view_in())
        return
    tile = new_tile((1, 1), "int32")
    nisa.memset(dst=tile, value=int(seed))
    rng.random_seed(tile)


def dropout(x: Any, rate: Any, *, dtype: Any = None, mask: Any = None, **_options: Any) -> Tensor:
    """`x` with each element zeroed with probability `rate`."""
    given = tile_operand(x, "nl.dropout")
    column = tensor_of(rate) if is_tensor(rate) else rate
    return Call(nisa.dropout, given.shape, {"data": given}, {"prob": column}).result(
        given.home.dtype, mask, asked=dtype
    )
