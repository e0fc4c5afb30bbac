"""Reductions over free dimensions of a tile, and over loops (the pages of nki.language, SDK 2.26)."""

from __future__ import annotations

import dis
from collections.abc import Sequence
from functools import cache
from math import prod as product
from sys import _getframe
from types import CodeType
from typing import Any

from opentrn.errors import ViewError
from opentrn.nki.beta1 import state
from opentrn.nki.beta1.dtypes import name_of
from opentrn.nki.beta1.instruction import (
    composed,
    copy_into,
    fitted,
    in_sbuf,
    issue,
    leave_out,
    region_of,
    tile_operand,
    written,
)  # fmt: skip
from opentrn.nki.beta1.language.elementwise import binary
from opentrn.nki.beta1.operators import operator_of
from opentrn.nki.beta1.region import Box, boxes, is_full
from opentrn.nki.beta1.tensor import Tensor, tensor_of
from opentrn.nki.functions import nisa
from opentrn.nki.language import normalize
from opentrn.program.site import user_site

__all__ = [
    "all",
    "loop_reduce",
    "max",
    "mean",
    "min",
    "prod",
    "rms_norm",
    "softmax",
    "sum",
    "var",
]


def axes_of(x: Tensor, axis: Any) -> list[int]:
    """The reduced dimensions. Raises ViewError for the partition, and for what the tile does not have."""
    given = list(axis) if isinstance(axis, Sequence) else [axis]
    asked = sorted({int(n) % x.ndim if -x.ndim <= int(n) < x.ndim else -1 for n in given})
    if not asked or asked[0] < 1:
        raise ViewError(
            "reduction axis", site=user_site(2), got=f"axis={axis} of shape {x.shape}",
            expected="free dimensions, never the partition (0)",
        )  # fmt: skip
    return asked


def reduced(
    op: Any, data: Any, axis: Any, dtype: Any = None, mask: Any = None, keepdims: bool = False, *, negate: bool = False,
    dst: Any = None,
) -> Tensor:  # fmt: skip
    """`data` combined over free dimensions; a mask on a reduced dimension leaves its elements out of the sum."""
    x = tile_operand(data, "reduction")
    axes = axes_of(x, axis)
    kept = [n for n in range(x.ndim) if n not in axes]
    last = x.permute([*kept, *axes])
    shape = tuple(1 if n in axes else size for n, size in enumerate(x.shape)) if keepdims else _dropped(x.shape, kept)
    found = boxes(mask, x.shape)
    dims = list(range(len(kept), x.ndim))
    operator = operator_of(op)
    spans = [tuple(box[n] for n in (*kept, *axes)) for box in found]

    def one(target: Tensor, box: Box | None) -> None:
        part = None if box is None else next(s for s in spans if _projected(s, kept, axes, x, keepdims) == box)
        nisa.tensor_reduce(
            dst=region_of(target, box), op=operator, data=last.view_in(part), axis=dims, negate=negate, keepdims=False
        )

    outer = [_projected(s, kept, axes, x, keepdims) for s in spans]
    inner = [s for s in spans if not is_full(s[len(kept) :], tuple(x.shape[a] for a in axes))]

    def record(target: Tensor, fresh: bool) -> None:
        if inner:  # fewer elements of each sum, and perhaps fewer sums
            _each(target, outer, fresh, one, shape)
        else:
            written(target, outer, shape, fresh, one)

    return issue(shape, x.home.dtype, record, asked=dtype, dst=dst, found=None if inner else outer)


def _each(target: Tensor, outer: list[Box], fresh: bool, one: Any, shape: tuple[int, ...]) -> None:
    if len(outer) != 1 or not is_full(outer[0], shape):
        leave_out(target, fresh)
    seen: set[Box] = set()
    for box in outer:
        if box in seen:
            raise ViewError(
                "a mask that splits a reduced dimension", site=user_site(4), got=str(box), expected="one range of it"
            )
        seen.add(box)
        one(fitted(target, shape), box)


def _dropped(shape: tuple[int, ...], kept: list[int]) -> tuple[int, ...]:
    left = tuple(shape[n] for n in kept)
    return left if len(left) > 1 else (*left, 1)


def _projected(span: Box, kept: list[int], axes: list[int], x: Tensor, keepdims: bool) -> Box:
    """The box of the result that belongs to a box of the (permuted) input."""
    outer = dict(zip(kept, span, strict=False))
    if keepdims:
        return tuple(outer.get(n, (0, 1)) for n in range(x.ndim))
    box = tuple(outer[n] for n in kept)
    return box if len(box) > 1 else (*box, (0, 1))


def sum(x: Any, axis: Any, *, dtype: Any = None, mask: Any = None, keepdims: bool = False, **_options: Any) -> Tensor:
    """The sum over free dimensions, in float32."""
    return reduced("add", x, axis, dtype, mask, keepdims)


def max(x: Any, axis: Any, *, dtype: Any = None, mask: Any = None, keepdims: bool = False, **_options: Any) -> Tensor:
    """The maximum over free dimensions."""
    return reduced("maximum", x, axis, dtype, mask, keepdims)


def min(x: Any, axis: Any, *, dtype: Any = None, mask: Any = None, keepdims: bool = False, **_options: Any) -> Tensor:
    """The minimum over free dimensions."""
    return reduced("minimum", x, axis, dtype, mask, keepdims)


def prod(x: Any, axis: Any, *, dtype: Any = None, mask: Any = None, keepdims: bool = False, **_options: Any) -> Tensor:
    """The product over free dimensions."""
    return reduced("multiply", x, axis, dtype, mask, keepdims)


def all(x: Any, axis: Any, *, dtype: Any = bool, mask: Any = None, **_options: Any) -> Tensor:
    """1 where every element is not zero, else 0."""
    return reduced("logical_and", x, axis, "uint8" if dtype is bool else dtype, mask)


for _function, _op in ((sum, "add"), (max, "maximum"), (min, "minimum"), (prod, "multiply")):
    _function.nki_op = _op  # type: ignore[attr-defined]


def mean(x: Any, axis: Any, *, dtype: Any = None, mask: Any = None, keepdims: bool = False, **_options: Any) -> Tensor:
    """The mean over free dimensions, through float32."""
    given = tile_operand(x, "nl.mean")
    count = product(given.shape[a] for a in axes_of(given, axis))
    total = reduced("add", given, axis, "float32", mask, keepdims)
    kind = dtype or ("float32" if "int" in given.home.dtype else given.home.dtype)
    return binary("multiply", total, 1.0 / count, kind, None)


def var(x: Any, axis: Any, *, dtype: Any = None, mask: Any = None, **_options: Any) -> Tensor:
    """The variance (divided by the count) over free dimensions, which are removed."""
    given = tile_operand(x, "nl.var")
    centre = mean(given, axis, dtype="float32", mask=mask, keepdims=True)
    beside = binary("subtract", given, centre, "float32", mask)
    kind = dtype or ("float32" if "int" in given.home.dtype else given.home.dtype)
    return mean(binary("multiply", beside, beside, "float32", mask), axis, dtype=kind, mask=mask)


def softmax(
    x: Any, axis: Any, *, dtype: Any = None, compute_dtype: Any = None, mask: Any = None, **_options: Any
) -> Tensor:
    """exp(x - max) / sum over the last free dimensions, through float32."""
    given = tile_operand(x, "nl.softmax")
    kind = name_of(dtype or compute_dtype or given.home.dtype)
    axes = axes_of(given, axis)
    return composed(given.shape, kind, lambda box: normalize.softmax(region_of(given, box), axes, kind), mask=mask)


def rms_norm(
    x: Any, w: Any, axis: Any, n: int, epsilon: float = 1e-06, *, dtype: Any = None, compute_dtype: Any = None, mask: Any = None,
    **_options: Any,
) -> Tensor:  # fmt: skip
    """``x / sqrt(sum(x * x) / n + epsilon) * w`` over the last free dimensions."""
    given, weight = tile_operand(x, "nl.rms_norm"), tile_operand(w, "nl.rms_norm")
    kind = name_of(dtype or compute_dtype or given.home.dtype)
    axes, wide = axes_of(given, axis), fitted(weight, given.shape)

    def make(box: Any) -> Any:
        return normalize.rms_norm(region_of(given, box), region_of(wide, box), axes, n, epsilon, kind)

    return composed(given.shape, kind, make, mask=mask)


# ----------------------------------------------------------------- over loops
def loop_reduce(x: Any, op: Any, loop_indices: Any, *, dtype: Any = None, mask: Any = None, **_options: Any) -> Tensor:
    """Combine `x` with what the destination holds; that is how the compiler reduces over `loop_indices`.

    "The destination tile is also the rhs input to op" (nl.loop_reduce, SDK 2.26), also where the destination is a name. A
    destination that nothing else has written starts with the first iteration of the loops, as public kernels rely on.
    """
    given = tile_operand(x, "nl.loop_reduce")
    previous = _previous(_getframe(1))
    state.settle()
    operator = operator_of(op)

    def record(dst: Tensor, fresh: bool) -> None:
        def one(target: Tensor, box: Box | None) -> None:
            views = [region_of(v, box) for v in (target, source)]
            nisa.tensor_tensor(dst=views[0], data1=views[0], data2=views[1], op=operator)

        source = fitted(given, dst.shape)
        if source.buffer is dst.buffer and dst.buffer.value == "psum":
            source = in_sbuf(source)
        if fresh:
            raise ViewError(
                "nl.loop_reduce without a destination", site=user_site(), got="a new tile",
                expected="an assignment to a tile, or to a name that holds one", hint="total[...] = nl.loop_reduce(...)",
            )  # fmt: skip
        if _starts(dst, loop_indices):
            copy_into(dst, given)
            return
        written(dst, boxes(mask, dst.shape), dst.shape, False, one)

    if previous is not None and previous.size == given.size:
        record(previous, False)
        return previous
    return issue(given.shape, given.home.dtype, record, reduces=True)


def _starts(dst: Tensor, loop_indices: Any) -> bool:
    """True in the first iteration over a destination that holds nothing of its own."""
    known = dst.home.reduced
    if known is None:
        return False
    part = tuple((m.start, m.steps) for m in dst.maps)
    indices = loop_indices if isinstance(loop_indices, Sequence) else [loop_indices]
    first = part not in known or not any(indices)
    known.add(part)
    return first


def _previous(frame: Any) -> Tensor | None:
    """The tensor that the name on the left of this assignment holds, if there is one."""
    name = _stored(frame.f_code, frame.f_lasti)
    held = frame.f_locals.get(name) if name else None
    return tensor_of(held) if isinstance(held, Tensor) else None


@cache
def _stored(code: CodeType, at: int) -> str | None:
    """The name that the instruction after `at` stores to."""
    after = next((i for i in dis.get_instructions(code) if i.offset > at and i.opname != "CACHE"), None)
    if after is None or not after.opname.startswith("STORE_") or after.opname in ("STORE_SUBSCR", "STORE_ATTR"):
        return None
    return after.argval[0] if isinstance(after.argval, tuple) else after.argval
