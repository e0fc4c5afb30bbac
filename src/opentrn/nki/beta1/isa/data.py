"""The value-returning instructions whose result has a shape of its own, and those that move data (nki.isa, SDK 2.26)."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from opentrn.errors import UnsupportedError, ViewError
from opentrn.isa import enums
from opentrn.isa.spec import ON_CHIP, SBUF
from opentrn.nki.beta1.dtypes import name_of
from opentrn.nki.beta1.index import Index, Mask
from opentrn.nki.beta1.instruction import (
    fitted,
    in_sbuf,
    issue,
    leave_out,
    recorded,
    region_of,
    stored,
    tile_operand,
    written,
)  # fmt: skip
from opentrn.nki.beta1.language.reduce import reduced
from opentrn.nki.beta1.operators import operator_name, operator_of
from opentrn.nki.beta1.region import Box, boxes, full
from opentrn.nki.beta1.tensor import Tensor
from opentrn.nki.functions import nisa
from opentrn.program.site import user_site

__all__ = [
    "affine_select", "bn_aggr", "bn_stats", "builtin_custom_op", "dma_copy", "dma_transpose", "iota", "local_gather", "max8",
    "nc_find_index8", "nc_match_replace8", "nc_stream_shuffle", "sequence_bounds", "tensor_partition_reduce", "tensor_reduce",
]  # fmt: skip


def tensor_reduce(
    op: Any, data: Any, axis: Any, *, mask: Any = None, dtype: Any = None, negate: bool = False, keepdims: bool = False,
    dst: Any = None, **_options: Any,
) -> Tensor:  # fmt: skip
    """`data` combined over free dimensions on the Vector Engine."""
    return reduced(op, data, axis, dtype, mask, keepdims, negate=negate, dst=dst)


def _shaped(
    function: Callable[..., Any], shape: tuple[int, ...], dtype: str, tiles: dict[str, Any], mask: Any, *, asked: Any = None,
    dst: Any = None, memories: Any = ON_CHIP, **attributes: Any,
) -> Tensor:  # fmt: skip
    """An instruction whose result has another shape than its data, the first of `tiles`, to which a mask applies."""
    given = {name: tile_operand(x, name) for name, x in tiles.items() if x is not None}
    data = next(iter(given.values()))
    found = boxes(mask, data.shape)
    if len(found) > 1:
        raise UnsupportedError("mask= of an instruction that reduces", site=user_site(3), expected="one rectangle")

    def record(target: Tensor, fresh: bool) -> None:
        box = found[0] if found else None
        if box != full(data.shape):
            leave_out(target, fresh)
        if box is None:
            return
        views = {name: region_of(x, box if x is data else _rows(x, box)) for name, x in given.items()}
        out = fitted(target, shape)
        function(dst=region_of(out, box if shape == data.shape else _rows(out, box)), **views, **attributes)

    whole = found if not found or shape == data.shape else None
    return issue(shape, dtype, record, memories=memories, asked=asked, dst=dst, found=whole)


def _rows(x: Tensor, box: Box) -> Box:
    """The partitions of `box`, and everything in them."""
    return (box[0], *((0, n) for n in x.shape[1:]))


def bn_stats(data: Any, *, mask: Any = None, dtype: Any = None, dst: Any = None, **_options: Any) -> Tensor:
    """Six numbers per partition from which `bn_aggr` makes mean and variance."""
    x = tile_operand(data, "data")
    return _shaped(nisa.bn_stats, (x.shape[0], 6), x.home.dtype, {"data": x}, mask, asked=dtype, dst=dst)


def bn_aggr(data: Any, *, mask: Any = None, dtype: Any = None, dst: Any = None, **_options: Any) -> Tensor:
    """Mean and variance per partition from results of `bn_stats`."""
    x = tile_operand(data, "data")
    return _shaped(nisa.bn_aggr, (x.shape[0], 2), x.home.dtype, {"data": x}, mask, asked=dtype, dst=dst)


def max8(*, src: Any, mask: Any = None, dtype: Any = None, dst: Any = None, **_options: Any) -> Tensor:
    """The eight largest values of each partition, in descending order."""
    x = tile_operand(src, "src")
    return _shaped(nisa.max8, (x.shape[0], 8), x.home.dtype, {"src": x}, mask, asked=dtype, dst=dst)


def nc_find_index8(
    *, data: Any, vals: Any, mask: Any = None, dtype: Any = None, dst: Any = None, **_options: Any
) -> Tensor:
    """Where each of eight values first occurs in its partition (uint32 unless given)."""
    x = tile_operand(data, "data")
    return _shaped(
        nisa.nc_find_index8, (x.shape[0], 8), "uint32", {"data": x, "vals": vals}, mask, asked=dtype, dst=dst
    )


def nc_match_replace8(
    *, data: Any, vals: Any, imm: Any, dst_idx: Any = None, mask: Any = None, dtype: Any = None, dst: Any = None, **_options: Any
) -> Tensor:  # fmt: skip
    """`data` with the first occurrence of each of eight values replaced by `imm`."""
    x = tile_operand(data, "data")
    tiles = {"data": x, "vals": vals, "dst_idx": dst_idx}
    return _shaped(nisa.nc_match_replace8, x.shape, x.home.dtype, tiles, mask, asked=dtype, dst=dst, imm=float(imm))


def tensor_partition_reduce(
    op: Any, data: Any, *, mask: Any = None, dtype: Any = None, dst: Any = None, **_options: Any
) -> Tensor:  # fmt: skip
    """`data` combined over its partitions on GpSimd: one partition."""
    x = in_sbuf(tile_operand(data, "data"))
    found = boxes(mask, x.shape)

    def record(target: Tensor, fresh: bool) -> None:
        for box in found:
            inside = ((0, 1), *box[1:])
            nisa.tensor_partition_reduce(
                dst=region_of(fitted(target, shape), inside), op=operator_of(op), data=region_of(x, box)
            )

    shape = (1, *x.shape[1:])
    return issue(shape, x.home.dtype, record, memories=SBUF, asked=dtype, dst=dst)


def local_gather(
    src_buffer: Any, index: Any, num_elem_per_idx: int = 1, num_valid_indices: int | None = None, *, mask: Any = None,
    dst: Any = None, **_options: Any,
) -> Tensor:  # fmt: skip
    """Columns of `src_buffer` chosen by indices, for each GpSimd core of 16 partitions."""
    x, places = in_sbuf(tile_operand(src_buffer, "src_buffer")), in_sbuf(tile_operand(index, "index"))
    count = prod(places.shape) // (places.shape[0] // 16) if num_valid_indices is None else num_valid_indices
    shape = (x.shape[0], count * num_elem_per_idx)
    return _shaped(
        nisa.local_gather, shape, x.home.dtype, {"src_buffer": x, "index": places}, mask, dst=dst, memories=SBUF,
        num_elem_per_idx=num_elem_per_idx, num_valid_indices=num_valid_indices,
    )  # fmt: skip


def sequence_bounds(*, segment_ids: Any, dtype: Any = None, dst: Any = None, **_options: Any) -> Tensor:
    """First and last position of the segment of each element."""
    x = tile_operand(segment_ids, "segment_ids")
    shape = (x.shape[0], 2, *x.shape[1:])
    return _shaped(nisa.sequence_bounds, shape, x.home.dtype, {"segment_ids": x}, None, asked=dtype, dst=dst)


# ----------------------------------------------------------------- affine patterns
def _pattern(each: Index, shape: tuple[int, ...], what: str) -> tuple[list[list[int]], int]:
    """([[step, count], ...] of the free dimensions, step of the partition) of an index expression over `shape`."""
    wide = each.over(shape)
    pairs = [[step, size] for step, size in zip(wide.steps[1:], shape[1:], strict=True)] or [[0, 1]]
    if len(pairs) > 4:
        raise ViewError(what, site=user_site(2), got=f"{len(pairs)} free dimensions", expected="at most 4")
    return pairs, wide.steps[0]


def iota(expr: Any, dtype: Any, *, mask: Any = None, dst: Any = None, **_options: Any) -> Tensor:
    """The values of an index expression as a tile, generated on GpSimd."""
    if not isinstance(expr, Index) or expr.dynamic is not None or expr.ndim < 2:
        raise ViewError(
            "nisa.iota", site=user_site(), got=repr(expr)[:100], expected="an expression of nl.arange with 2 dimensions"
        )
    shape = expr.shape
    found = boxes(mask, shape)

    def one(target: Tensor, box: Any) -> None:
        edges = box or tuple((0, n) for n in shape)
        sizes = tuple(high - low for low, high in edges)
        start = expr.start + sum(s * low for s, (low, _) in zip(expr.steps, edges, strict=True))
        pattern, per_partition = _pattern(Index(sizes, expr.steps), sizes, "nisa.iota")
        nisa.iota(dst=region_of(target, box), pattern=pattern, offset=start, channel_multiplier=per_partition)

    return issue(
        shape,
        name_of(dtype),
        lambda target, fresh: written(target, found, shape, fresh, one),
        memories=SBUF,
        asked=dtype,
        dst=dst,
        found=found,
    )


def affine_select(
    pred: Any, on_true_tile: Any, on_false_value: Any, *, mask: Any = None, dtype: Any = None, dst: Any = None, **_options: Any
) -> Tensor:  # fmt: skip
    """Elements of a tile where an affine comparison holds, else a number; on GpSimd."""
    x = in_sbuf(tile_operand(on_true_tile, "on_true_tile"))
    if not isinstance(pred, Mask) or len(pred.conditions) != 1:
        raise UnsupportedError(
            "nisa.affine_select", site=user_site(), got=repr(pred)[:100], expected="one comparison of index expressions",
            hint="for several, call it once for each",
        )  # fmt: skip
    condition = pred.conditions[0].over(x.shape)
    found = boxes(mask, x.shape)

    def one(target: Tensor, box: Any) -> None:
        edges = box or tuple((0, n) for n in x.shape)
        sizes = tuple(high - low for low, high in edges)
        start = condition.start + sum(s * low for s, (low, _) in zip(condition.steps, edges, strict=True))
        pattern, per_partition = _pattern(Index(sizes, condition.steps), sizes, "nisa.affine_select")
        nisa.affine_select(
            dst=region_of(target, box), pattern=pattern, channel_multiplier=per_partition, offset=start,
            on_true_tile=region_of(x, box), on_false_value=float(on_false_value), cmp_op=operator_of("greater_equal"),
        )  # fmt: skip

    return issue(
        x.shape,
        x.home.dtype,
        lambda target, fresh: written(target, found, x.shape, fresh, one),
        memories=SBUF,
        asked=dtype,
        dst=dst,
        found=found,
    )


# ----------------------------------------------------------------- moving data
def nc_stream_shuffle(
    src: Any, dst: Any, shuffle_mask: Any, *, dtype: Any = None, mask: Any = None, **_options: Any
) -> Tensor:
    """Copy partitions within quadrants of 32 from `src` to `dst`."""
    source, target = tile_operand(src, "src"), tile_operand(dst, "dst")
    order = [int(n.start if isinstance(n, Index) else n) for n in shuffle_mask]

    def record() -> None:
        for box in boxes(mask, target.shape):
            nisa.nc_stream_shuffle(dst=region_of(target, box), src=region_of(source, box), shuffle_mask=order)

    recorded(record)
    return target


def dma_copy(
    *, dst: Any, src: Any, mask: Any = None, dst_rmw_op: Any = None, oob_mode: Any = enums.oob_mode.error,
    dge_mode: Any = enums.dge_mode.unknown, mode: Any = None, **_options: Any,
) -> Tensor:  # fmt: skip
    """Copy between HBM and SBUF, in any direction; `dst_rmw_op` (np.add) adds to what is there."""
    target, source = tile_operand(dst, "dst"), tile_operand(src, "src")
    if dst_rmw_op is not None and operator_name(dst_rmw_op) != "add":
        raise UnsupportedError("nisa.dma_copy dst_rmw_op", site=user_site(), got=repr(dst_rmw_op), expected="np.add")
    skip = mode if mode is not None else oob_mode

    def record() -> None:
        for box in boxes(mask, target.shape):
            whole = box == tuple((0, n) for n in target.shape)
            there = stored(target.view_in() if whole else region_of(target, box))
            here = source.view_in() if whole else region_of(fitted(source, target.shape), box)
            if dst_rmw_op is None:
                nisa.dma_copy(dst=there, src=here, oob_mode=skip, dge_mode=dge_mode)
            else:
                nisa.dma_compute(dst=there, srcs=[here, there], reduce_op=operator_of("add"), oob_mode=skip)

    recorded(record)
    return target


def dma_transpose(
    src: Any, *, axes: Any = None, mask: Any = None, dtype: Any = None, dst: Any = None, **_options: Any
) -> Tensor:
    """`src` with its dimensions reversed ((1, 0), (2, 1, 0), or (3, 1, 2, 0)), by the DMA engines, in SBUF."""
    x = tile_operand(src, "src")
    order = tuple(axes) if axes is not None else {2: (1, 0), 3: (2, 1, 0), 4: (3, 1, 2, 0)}.get(x.ndim)
    if order not in ((1, 0), (2, 1, 0), (3, 1, 2, 0)):
        raise UnsupportedError(
            "nisa.dma_transpose",
            site=user_site(),
            got=f"axes={axes} of {x.shape}",
            expected="(1, 0), (2, 1, 0) or (3, 1, 2, 0)",
        )
    flipped = x.permute(order)

    def record(target: Tensor, fresh: bool) -> None:
        for box in [tuple(b[d] for d in order) for b in boxes(mask, x.shape)]:
            nisa.dma_copy(dst=region_of(target, box), src=region_of(flipped, box))

    if x.on_chip:
        return _transposed_tile(x, order, dtype, dst)
    return issue(flipped.shape, x.home.dtype, record, memories=SBUF, asked=dtype, dst=dst)


def _transposed_tile(x: Tensor, order: tuple[int, ...], dtype: Any, dst: Any) -> Tensor:
    shape = tuple(x.shape[d] for d in order)
    return issue(
        shape, x.home.dtype, lambda target, fresh: nisa.dma_transpose(dst=target.view_in(), src=x.view_in(), axes=order),
        memories=SBUF, asked=dtype, dst=dst,
    )  # fmt: skip


def builtin_custom_op(function_name: str, *_args: Any, **_options: Any) -> None:
    """Custom operators run code of their own on GpSimd, which is not simulated."""
    raise UnsupportedError(
        f"nisa.builtin_custom_op({function_name!r})", site=user_site(), expected="an instruction of nki.isa"
    )
