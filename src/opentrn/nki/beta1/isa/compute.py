"""The value-returning instructions on a grid: activation, tensor_scalar, selections and their like (nki.isa, SDK 2.26).

Each gives back the tile that today's instruction writes into ``dst``; its dtype is ``dtype=``, else that of the input.
"""

from __future__ import annotations

from typing import Any

from opentrn.isa import enums
from opentrn.isa.enums import MemoryRegion
from opentrn.nki.beta1.dtypes import name_of, promoted, shown
from opentrn.nki.beta1.instruction import Call, as_predicate, in_sbuf, recorded, region_of, tile_operand
from opentrn.nki.beta1.language.elementwise import binary
from opentrn.nki.beta1.operators import operator_name, operator_of
from opentrn.nki.beta1.region import boxes
from opentrn.nki.beta1.tensor import Tensor, is_tensor, tensor_of
from opentrn.nki.functions import nisa
from opentrn.nki.language.compose import op as named

__all__ = [
    "activation",
    "activation_accu",
    "activation_reduce",
    "dropout",
    "memset",
    "range_select",
    "reciprocal",
    "scalar_tensor_tensor",
    "select_reduce",
    "tensor_copy",
    "tensor_copy_dynamic_dst",
    "tensor_copy_dynamic_src",
    "tensor_copy_predicated",
    "tensor_scalar",
    "tensor_scalar_reduce",
    "tensor_tensor",
    "tensor_tensor_scan",
]  # fmt: skip

ANY = enums.engine.unknown


def _tile(x: Any, name: str = "data") -> Tensor:
    return tile_operand(x, name)


def _beside(x: Tensor, y: Tensor) -> Tensor:
    """`x`, copied to SBUF where both operands are in PSUM, which has one read port."""
    return in_sbuf(x) if x.buffer is y.buffer is MemoryRegion.psum else x


def _given(**attributes: Any) -> dict[str, Any]:
    """Those attributes that are not None."""
    return {name: value for name, value in attributes.items() if value is not None}


def _divisor(name: Any, operand: Any, reverse: bool) -> tuple[Any, Any]:
    """A division by a number as a product: the ALUs have no division."""
    if name is not None and operator_name(name) == "divide" and not is_tensor(operand) and not reverse:
        return named("multiply"), 1.0 / float(operand)
    return operator_of(name), _number(operand)


def _number(value: Any) -> Any:
    if is_tensor(value):
        return tensor_of(value)
    return value.item() if hasattr(value, "item") else value


def activation(
    op: Any, data: Any, *, bias: Any = None, scale: Any = 1.0, reduce_op: Any = None, reduce_res: Any = None,
    reduce_cmd: Any = enums.reduce_cmd.idle, mask: Any = None, dtype: Any = None, dst: Any = None, **_options: Any,
) -> Tensor:  # fmt: skip
    """``op(data * scale + bias)`` on the Scalar Engine, optionally reduced."""
    x = _tile(data)
    columns = {"bias": _number(bias), "scale": _number(scale), "reduce_res": _number(reduce_res)}
    attributes = {"op": operator_of(op), "reduce_op": operator_of(reduce_op), "reduce_cmd": reduce_cmd}
    return Call(nisa.activation, x.shape, {"data": x}, columns, attributes).result(
        x.home.dtype, mask, asked=dtype, dst=dst
    )


def activation_reduce(
    op: Any, data: Any, *, reduce_op: Any, reduce_res: Any, bias: Any = None, scale: Any = 1.0, mask: Any = None,
    dtype: Any = None, dst: Any = None, **_options: Any,
) -> Tensor:  # fmt: skip
    """`activation`, and the sum of its results along the free dimensions in `reduce_res`."""
    x = _tile(data)
    columns = {"bias": _number(bias), "scale": _number(scale), "reduce_res": _tile(reduce_res, "reduce_res")}
    attributes = {"op": operator_of(op), "reduce_op": operator_of(reduce_op)}
    call = Call(nisa.activation_reduce, x.shape, {"data": x}, columns, attributes)
    return call.result(x.home.dtype, mask, asked=dtype, dst=dst)


activation_accu = activation_reduce


def tensor_scalar(
    data: Any, op0: Any, operand0: Any, reverse0: bool = False, op1: Any = None, operand1: Any = None, reverse1: bool = False,
    *, dtype: Any = None, mask: Any = None, engine: Any = ANY, dst: Any = None, **_options: Any,
) -> Tensor:  # fmt: skip
    """``(data op0 operand0) op1 operand1`` with numbers or one value per partition."""
    x = _tile(data)
    first, value0 = _divisor(op0, operand0, reverse0)
    second, value1 = _divisor(op1, operand1, reverse1)
    attributes = {"op0": first, "reverse0": reverse0, "op1": second, "reverse1": reverse1, "engine": engine}
    only = ("data",) if operator_name(op0) in ("rsqrt", "power") else ()
    call = Call(nisa.tensor_scalar, x.shape, {"data": x}, {"operand0": value0, "operand1": value1}, attributes, only)
    return call.result(x.home.dtype, mask, asked=dtype, dst=dst)


def tensor_tensor(
    data1: Any, data2: Any, op: Any, *, dtype: Any = None, mask: Any = None, engine: Any = ANY, dst: Any = None, **_options: Any
) -> Tensor:  # fmt: skip
    """``data1 op data2``, element by element."""
    x, y = _tile(data1, "data1"), _tile(data2, "data2")
    name = operator_name(op)
    kind = promoted(x.home.dtype, y.home.dtype)
    if name == "divide":
        return binary(name, x, y, dtype, mask, dst)
    x = _beside(x, y)
    shape = x.shape if x.size >= y.size else y.shape
    call = Call(nisa.tensor_tensor, shape, {"data1": x, "data2": y}, attributes={"op": named(name), "engine": engine})
    return call.result(kind, mask, asked=dtype, dst=dst)


def tensor_tensor_scan(
    data0: Any, data1: Any, initial: Any, op0: Any, op1: Any, reverse0: bool = False, reverse1: bool = False,
    *, dtype: Any = None, mask: Any = None, dst: Any = None, **_options: Any,
) -> Tensor:  # fmt: skip
    """``result[i] = (data0[i] op0 result[i - 1]) op1 data1[i]`` along the free dimension."""
    y = _tile(data1, "data1")
    x = _beside(_tile(data0, "data0"), y)
    attributes = {"op0": operator_of(op0), "op1": operator_of(op1), "reverse0": reverse0, "reverse1": reverse1}
    call = Call(nisa.tensor_tensor_scan, x.shape, {"data0": x, "data1": y}, {"initial": _number(initial)}, attributes)
    return call.result(promoted(x.home.dtype, y.home.dtype), mask, asked=dtype, dst=dst)


def scalar_tensor_tensor(
    *, data: Any, op0: Any, operand0: Any, op1: Any, operand1: Any, reverse0: bool = False, reverse1: bool = False,
    dtype: Any = None, mask: Any = None, dst: Any = None, **_options: Any,
) -> Tensor:  # fmt: skip
    """``(data op0 operand0) op1 operand1``, the second operand being a tile."""
    x = _tile(data)
    attributes = {"op0": operator_of(op0), "op1": operator_of(op1), "reverse0": reverse0, "reverse1": reverse1}
    other = _tile(operand1, "operand1")
    tiles = {"data": _beside(x, other), "operand1": other}
    call = Call(nisa.scalar_tensor_tensor, x.shape, tiles, {"operand0": _number(operand0)}, attributes)
    return call.result(x.home.dtype, mask, asked=dtype, dst=dst)


def tensor_scalar_reduce(
    *, data: Any, op0: Any, operand0: Any, reduce_op: Any, reduce_res: Any, reverse0: bool = False, dtype: Any = None,
    mask: Any = None, dst: Any = None, **_options: Any,
) -> Tensor:  # fmt: skip
    """``data op0 operand0``, and its reduction along the free dimensions in `reduce_res`."""
    x = _tile(data)
    first, value = _divisor(op0, operand0, reverse0)
    columns = {"operand0": value, "reduce_res": _tile(reduce_res, "reduce_res")}
    attributes = {"op0": first, "reduce_op": operator_of(reduce_op), "reverse0": reverse0}
    return Call(nisa.tensor_scalar_reduce, x.shape, {"data": x}, columns, attributes).result(
        x.home.dtype, mask, asked=dtype, dst=dst
    )


def tensor_copy(
    src: Any, *, mask: Any = None, dtype: Any = None, engine: Any = ANY, dst: Any = None, **_options: Any
) -> Tensor:  # fmt: skip
    """A copy of a tile within SBUF and PSUM."""
    x = _tile(src, "src")
    return Call(nisa.tensor_copy, x.shape, {"src": x}, attributes={"engine": engine}).result(
        x.home.dtype, mask, asked=dtype, dst=dst
    )


def tensor_copy_dynamic_src(src: Any, **options: Any) -> Tensor:
    """`tensor_copy` of a tile with a run-time index in its free dimensions."""
    return tensor_copy(src, **options)


def tensor_copy_dynamic_dst(*, dst: Any, src: Any, **options: Any) -> Tensor:
    """`tensor_copy` into a tile with a run-time index in its free dimensions."""
    return tensor_copy(src, dst=dst, **options)


def reciprocal(data: Any, *, dtype: Any = None, mask: Any = None, dst: Any = None, **_options: Any) -> Tensor:
    """``1 / data`` on the Vector Engine."""
    x = _tile(data)
    return Call(nisa.reciprocal, x.shape, {"data": x}).result(x.home.dtype, mask, asked=dtype, dst=dst)


def dropout(data: Any, prob: Any, *, mask: Any = None, dtype: Any = None, dst: Any = None, **_options: Any) -> Tensor:
    """`data` with elements zeroed with probability `prob`."""
    x = _tile(data)
    return Call(nisa.dropout, x.shape, {"data": x}, {"prob": _number(prob)}).result(
        x.home.dtype, mask, asked=dtype, dst=dst
    )


def memset(
    shape: Any, value: Any, dtype: Any, *, mask: Any = None, engine: Any = ANY, dst: Any = None, **_options: Any
) -> Tensor:  # fmt: skip
    """A tile filled with one number; the first dimension is the partition, whatever ``nl.par_dim`` says."""
    sizes = tuple(int(n) for n in shape)
    kind = name_of(dtype)
    number = _number(value)
    exact = int(number) if shown(kind).kind in "iub" else float(number)
    return Call(nisa.memset, sizes, {}, attributes={"value": exact, "engine": engine}).result(kind, mask, dst=dst)


def range_select(
    *, on_true_tile: Any, comp_op0: Any, comp_op1: Any, bound0: Any, bound1: Any, reduce_cmd: Any = enums.reduce_cmd.idle,
    reduce_res: Any = None, reduce_op: Any = "maximum", range_start: int = 0, on_false_value: Any = None, mask: Any = None,
    dtype: Any = None, dst: Any = None, **_options: Any,
) -> Tensor:  # fmt: skip
    """Elements whose position compares true with two bounds, else the smallest float32."""
    x = _tile(on_true_tile, "on_true_tile")
    columns = {"bound0": _number(bound0), "bound1": _number(bound1), "reduce_res": _number(reduce_res)}
    attributes = _given(
        comp_op0=operator_of(comp_op0), comp_op1=operator_of(comp_op1), reduce_cmd=reduce_cmd, range_start=range_start,
        reduce_op=operator_of(reduce_op), on_false_value=_number(on_false_value),
    )  # fmt: skip
    return Call(nisa.range_select, x.shape, {"on_true_tile": x}, columns, attributes).result(
        x.home.dtype, mask, asked=dtype, dst=dst
    )


def select_reduce(
    *, dst: Any, predicate: Any, on_true: Any, on_false: Any, reduce_res: Any = None, reduce_cmd: Any = enums.reduce_cmd.idle,
    reduce_op: Any = "maximum", reverse_pred: bool = False, mask: Any = None, dtype: Any = None, **_options: Any,
) -> Tensor:  # fmt: skip
    """`on_true` where `predicate` holds, else `on_false`, into `dst`."""
    x = _tile(on_true, "on_true")
    tiles = {"on_true": x, "predicate": _tile(predicate, "predicate")}
    columns = {"on_false": _number(on_false), "reduce_res": _number(reduce_res)}
    attributes = {"reduce_cmd": reduce_cmd, "reduce_op": operator_of(reduce_op), "reverse_pred": reverse_pred}
    return Call(nisa.select_reduce, x.shape, tiles, columns, attributes).result(x.home.dtype, mask, dst=dst)


def tensor_copy_predicated(
    *, src: Any, dst: Any, predicate: Any, reverse_pred: bool = False, mask: Any = None, dtype: Any = None, **_options: Any
) -> Tensor:  # fmt: skip
    """Copy `src` (a tile or a number) into `dst` where `predicate` is not zero."""
    target, test = _tile(dst, "dst"), _tile(predicate, "predicate")
    source = tensor_of(src) if is_tensor(src) else _number(src)

    def record() -> None:
        for box in boxes(mask, target.shape):
            given = region_of(source, box) if isinstance(source, Tensor) else source
            nisa.tensor_copy_predicated(
                dst=region_of(target, box),
                src=given,
                predicate=as_predicate("predicate", region_of(test, box)),
                reverse_pred=reverse_pred,
            )

    recorded(record)
    return target
