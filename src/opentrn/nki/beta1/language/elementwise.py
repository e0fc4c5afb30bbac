"""nl.add, nl.exp and their like: one instruction on a grid, of the engine that has the operator.

Sources: the pages of nki.language, SDK 2.26; "NKI Type Promotion" for the dtype of a result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from opentrn.errors import LaunchError
from opentrn.isa.enums import MemoryRegion
from opentrn.nki.beta1 import state
from opentrn.nki.beta1.dtypes import name_of, promoted, weak
from opentrn.nki.beta1.home import Order
from opentrn.nki.beta1.index import broadcast
from opentrn.nki.beta1.instruction import Call, composed, fitted, in_sbuf, named, region_of, tile_operand
from opentrn.nki.beta1.tensor import Tensor, is_tensor, tensor_of
from opentrn.nki.functions import nisa
from opentrn.nki.language import compute, simulated
from opentrn.nki.language.compose import op
from opentrn.numerics.activations import ACTIVATIONS
from opentrn.program.site import user_site

__all__ = ["BINARY", "UNARY", "binary", "copy", "unary", "update"]

_BITWISE = ("bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift")
_FLAGS = (
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_xor",
)  # fmt: skip


def _number(value: Any) -> Any:
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    return value.item() if isinstance(value, np.generic) else value


def binary(name: str, x: Any, y: Any, dtype: Any = None, mask: Any = None, dst: Any = None) -> Tensor:
    """``x name y``, element by element with broadcasting; at least one of them is a tile."""
    if not is_tensor(x) and not is_tensor(y):
        raise LaunchError(f"nl.{name}", site=user_site(2), got=f"{x!r}, {y!r}"[:200], expected="at least one tile")
    x, y = tensor_of(x), tensor_of(y)
    kind = _kind(name, x, y)
    if name == "divide":
        return _divide(x, y, kind, dtype, mask, dst)
    if name in simulated.SIMULATED:
        return _simulated(name, x, y, kind, dtype, mask, dst)
    if not isinstance(y, Tensor):
        return _scalar(name, x, _number(y), kind, dtype, mask, dst)
    if not isinstance(x, Tensor):
        return _scalar(name, y, _number(x), kind, dtype, mask, dst, reverse=True)
    shape = broadcast(x.shape, y.shape)
    if _is_column(y, x, shape):
        return _scalar(name, fitted(x, shape), y, kind, dtype, mask, dst)
    if _is_column(x, y, shape):
        return _scalar(name, fitted(y, shape), x, kind, dtype, mask, dst, reverse=True)
    if x.buffer is y.buffer is MemoryRegion.psum:
        x = in_sbuf(x)
    call = Call(nisa.tensor_tensor, shape, {"data1": x, "data2": y}, attributes={"op": op(name)})
    return call.result(kind, mask, asked=dtype, dst=dst)


def _kind(name: str, x: Any, y: Any) -> str:
    if name in _FLAGS:
        return "uint8"
    a, b = (v.home.dtype if isinstance(v, Tensor) else None for v in (x, y))
    if a is not None and b is not None:
        return promoted(a, b)
    tile, number = (a, y) if a is not None else (b, x)
    assert tile is not None
    return tile if name in _BITWISE else promoted(tile, weak(number))


def _is_column(x: Tensor, other: Tensor, shape: tuple[int, ...]) -> bool:
    """True for one value per partition against more of them."""
    return (
        x.size == x.shape[0]
        and other.size > other.shape[0]
        and x.shape[0] in (1, shape[0])
        and len(x.shape) <= len(shape)
    )


def _scalar(
    name: str, x: Tensor, operand: Any, kind: str, dtype: Any, mask: Any, dst: Any, *, reverse: bool = False
) -> Tensor:  # fmt: skip
    call = Call(
        nisa.tensor_scalar, x.shape, {"data": x}, {"operand0": operand},
        {"op0": op(name), "reverse0": reverse}, ("data",) if name == "power" else (),
    )  # fmt: skip
    return call.result(kind, mask, asked=dtype, dst=dst)


def _divide(x: Any, y: Any, kind: str, dtype: Any, mask: Any, dst: Any) -> Tensor:
    """The engines have no division: a product with the reciprocal."""
    if not isinstance(y, Tensor):
        return binary("multiply", x, float(1.0 / _number(y)), dtype or _floating(kind), mask, dst)
    inverse = Call(nisa.reciprocal, y.shape, {"data": y}).result("float32", mask if y.shape == _shape(x, y) else None)
    state.settle()
    return binary("multiply", x, inverse, dtype or _floating(kind), mask, dst)


def _shape(x: Any, y: Tensor) -> tuple[int, ...]:
    return broadcast(x.shape, y.shape) if isinstance(x, Tensor) else y.shape


def _floating(kind: str) -> Any:
    return "float32" if "int" in kind else kind


def _simulated(name: str, x: Any, y: Any, kind: str, dtype: Any, mask: Any, dst: Any) -> Tensor:
    """mod and fmod, which no instruction has."""
    shape = broadcast(*(v.shape for v in (x, y) if isinstance(v, Tensor)))
    x, y = (fitted(v, shape) if isinstance(v, Tensor) else v for v in (x, y))

    def make(box: Any) -> Any:
        first, second = (region_of(v, box) if isinstance(v, Tensor) else _number(v) for v in (x, y))
        return simulated.simulated(name, first, second, name_of(dtype or kind))

    return composed(shape, kind, make, mask=mask, asked=dtype, dst=dst)


def unary(name: str, x: Any, dtype: Any = None, mask: Any = None, dst: Any = None) -> Tensor:
    """``name(x)``, element by element."""
    given = tile_operand(x, f"nl.{name}")
    kind = given.home.dtype
    if name == "copy":
        call = Call(nisa.tensor_copy, given.shape, {"src": given})
    elif name == "reciprocal":
        call = Call(nisa.reciprocal, given.shape, {"data": given})
    elif name == "negative":
        call = Call(nisa.tensor_scalar, given.shape, {"data": given}, {"operand0": -1.0}, {"op0": op("multiply")})
    elif name in ACTIVATIONS and name not in ("sin", "arctan"):
        call = Call(nisa.activation, given.shape, {"data": given}, attributes={"op": op(name)})
    else:
        return composed(
            given.shape, kind, lambda box: compute.unary(name, region_of(given, box), name_of(dtype or kind)),
            mask=mask, asked=dtype, dst=dst,
        )  # fmt: skip
    return call.result(kind, mask, asked=dtype, dst=dst)


def update(name: str, target: Tensor, value: Any, frame: Any) -> Tensor:
    """``target += value`` and its like: in place, in one instruction where the engine can."""
    order = value.home.order if isinstance(value, Tensor) else None
    target.home.reduced = None
    if _sums(name, order, target, value) and state.pending(value.home) and not named(frame, value):
        state.dropped(value.home)
        adds: Any = order and order.adds
        state.at(order and order.place, lambda: adds(target))
        return target
    state.settle()
    binary(name, target, value, dst=target)
    return target


def _sums(name: str, order: Order | None, target: Tensor, value: Any) -> bool:
    """True for a sum that the Tensor Engine makes in PSUM, whose free dimensions it walks as one."""
    if name != "add" or order is None or order.adds is None:
        return False
    return target.buffer is MemoryRegion.psum and value.shape[:1] == target.shape[:1] and value.size == target.size


def _binary(name: str) -> Callable[..., Tensor]:
    def function(x: Any, y: Any, dtype: Any = None, mask: Any = None, **_options: Any) -> Tensor:
        return binary(name, x, y, None if dtype is bool else dtype, mask)

    return _made(name, function, compute.BINARY[name])


def _unary(name: str) -> Callable[..., Tensor]:
    def function(x: Any, dtype: Any = None, mask: Any = None, **_options: Any) -> Tensor:
        return unary(name, x, None if dtype is bool else dtype, mask)

    return _made(name, function, compute.UNARY[name])


def _made(name: str, function: Callable[..., Any], text: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__, function.__module__ = (
        f"{text}, element by element (nl.{name}, SDK 2.26).",
        "neuronxcc.nki.language",
    )
    function.nki_op = name  # type: ignore[attr-defined]
    return function


BINARY = {name: _binary(name) for name in compute.BINARY if name not in ("abs_max", "abs_min")}
UNARY = {name: _unary(name) for name in compute.UNARY}
globals().update(BINARY | UNARY)


def copy(src: Any, *, mask: Any = None, dtype: Any = None, **_options: Any) -> Tensor:
    """A new tile with the values of `src` (nl.copy, SDK 2.26)."""
    return unary("copy", src, dtype, mask)


copy.nki_op = "copy"  # type: ignore[attr-defined]
UNARY["copy"] = copy
if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...
