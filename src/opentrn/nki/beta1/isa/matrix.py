"""nc_matmul and nc_transpose: results in PSUM, sums where they are added (the pages of nki.isa, SDK 2.26)."""

from __future__ import annotations

from math import prod
from typing import Any

from opentrn.errors import UnsupportedError
from opentrn.isa.enums import engine as engines
from opentrn.isa.enums import matmul_perf_mode
from opentrn.isa.spec import ON_CHIP, PSUM
from opentrn.nki.beta1.dtypes import name_of
from opentrn.nki.beta1.instruction import fitted, in_sbuf, issue, leave_out, region_of, tile_operand, written
from opentrn.nki.beta1.language.elementwise import copy
from opentrn.nki.beta1.region import Box, boxes, full
from opentrn.nki.beta1.tensor import Tensor
from opentrn.nki.functions import nisa
from opentrn.program.site import user_site

__all__ = ["nc_matmul", "nc_transpose"]


def nc_matmul(
    stationary: Any, moving: Any, *, is_stationary_onezero: bool = False, is_moving_onezero: bool = False,
    is_transpose: bool = False, tile_position: Any = (), tile_size: Any = (), mask: Any = None, dst: Any = None,
    is_moving_zero: bool | None = None, **options: Any,
) -> Tensor:  # fmt: skip
    """``stationary.T @ moving`` as a float32 tile in PSUM; ``psum += nc_matmul(...)`` adds to what is there.

    The result's free dimensions are those of `moving`: (K, M) and (K, H, W) give (M, H, W).
    """
    left, right = in_sbuf(tile_operand(stationary, "stationary")), in_sbuf(tile_operand(moving, "moving"))
    mode = _mode(options.get("perf_mode"))
    double = mode is not None and mode.name == "double_row"
    size = (prod(left.shape[1 + double :]), prod(right.shape[1 + double :]))
    shape = (size[0], *right.shape[1 + double :])
    parts = _parts(mask, left, right, size)
    attributes = {
        "is_stationary_onezero": is_stationary_onezero, "is_moving_onezero": is_moving_onezero, "is_transpose": is_transpose,
        "tile_position": tuple(tile_position), "tile_size": tuple(tile_size),
    }  # fmt: skip
    attributes |= {"perf_mode": mode} if mode is not None else {}

    def run(target: Tensor, accumulate: bool | None, fresh: bool) -> None:
        if parts is None:
            leave_out(target, fresh)
            return
        rows, m, n = parts
        whole = rows == (0, left.shape[0]) and (m, n) == ((0, size[0]), (0, size[1]))
        covers = whole and target.size == prod(target.home.shape)
        if whole:
            out = target.view_in(product="all" if covers else "part")
            nisa.nc_matmul(
                dst=out, stationary=left.view_in(), moving=right.view_in(), accumulate=accumulate, **attributes
            )  # fmt: skip
            return
        nisa.nc_matmul(
            dst=region_of(fitted(target, size), (m, n), "part"), stationary=_rows(left, rows, m, size[0]),
            moving=_rows(right, rows, n, size[1]), accumulate=accumulate, **attributes,
        )  # fmt: skip
        leave_out(target, fresh)

    return issue(
        shape, "float32", lambda target, fresh: run(target, False, fresh), memories=PSUM, dst=dst,
        adds=lambda target: run(target, None, False),
    )  # fmt: skip


def _rows(x: Tensor, rows: tuple[int, int], free: tuple[int, int], size: int) -> Any:
    """Some of the contraction, and of the free dimension where there is one."""
    rest = tuple((0, n) for n in x.shape[1:]) if free == (0, size) else (free,)
    return region_of(x, (rows, *rest))


def _mode(given: Any) -> Any:
    """The performance mode; the older name of double_row tells the generation it came with."""
    name = getattr(given, "name", given)
    return None if name is None else matmul_perf_mode({"double_row_gen3": "double_row"}.get(name, name))


def _parts(
    mask: Any, left: Tensor, right: Tensor, free_sizes: tuple[int, int]
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]] | None:
    """(contraction, free of left, free of right) that a mask leaves; None for nothing.

    Dimension 0 is the contraction. The last one is the free dimension of the operand whose size it has: where both have
    it the two cannot be told apart, as the manual says (NKI API Masking, SDK 2.26: mask the operands).
    """
    whole = ((0, left.shape[0]), (0, free_sizes[0]), (0, free_sizes[1]))
    if mask is None or isinstance(mask, bool) or not hasattr(mask, "shape") or not mask.shape:
        return whole if mask is None or mask else None
    size = mask.shape[-1]
    candidates = [n for n in (1, 2) if whole[n][1] == size]
    grid = (left.shape[0], size if size > 1 else 1)
    found = boxes(mask, grid)
    if not found:
        return None
    free = found[0][1] if size > 1 else None
    unclear = free is not None and free != (0, size) and len(candidates) != 1
    if len(found) > 1 or unclear:
        raise UnsupportedError(
            "mask= of nc_matmul", site=user_site(3), got=f"a mask over {mask.shape} for {left.shape} and {right.shape}",
            expected="a range of the contraction, and of a free size that one operand has",
            hint="mask the operands: nisa.nc_matmul(lhs[i_m <= 64], rhs[i_n <= 256])",
        )  # fmt: skip
    made = [found[0][0], whole[1], whole[2]]
    if free is not None and free != (0, size):
        made[candidates[0]] = free
    return (made[0], made[1], made[2])


def nc_transpose(
    data: Any, *, mask: Any = None, dtype: Any = None, engine: Any = engines.unknown, dst: Any = None, **_options: Any
) -> Tensor:  # fmt: skip
    """`data` with its partition and (flattened) free dimensions swapped, in PSUM from the Tensor Engine."""
    given = tile_operand(data, "data")
    shape = (prod(given.shape[1:]), given.shape[0])
    chosen = engine if engine is not engines.unknown else _best(given)
    flat = given if given.ndim == 2 else None
    found: list[Box] = [full(shape)] if mask is None else [tuple(reversed(b)) for b in boxes(mask, given.shape)]

    def one(target: Tensor, box: Box | None) -> None:
        source = given.view_in() if box is None or flat is None else flat.view_in(tuple(reversed(box)))
        nisa.nc_transpose(dst=region_of(target, box), data=source, engine=chosen)

    memories = PSUM if chosen is engines.tensor else ON_CHIP
    kind = given.home.dtype
    made = issue(
        shape, kind, lambda target, fresh: written(target, found, shape, fresh, one), memories=memories, dst=dst
    )  # fmt: skip
    return made if dtype is None or name_of(dtype) == kind else copy(made, dtype=dtype)


def _best(data: Tensor) -> engines:
    """The Vector Engine for what it can and the Tensor Engine cannot read; else the Tensor Engine."""
    return (
        engines.vector
        if data.buffer.value == "psum" and max(data.shape[0], prod(data.shape[1:])) <= 32
        else engines.tensor
    )
