"""What `Tensor` does beyond showing elements: operators, assignment, and copies in another dtype.

Each records instructions, so it stands above `instruction` and `language.elementwise`; importing this module adds it.
"""

from __future__ import annotations

from sys import _getframe
from typing import Any

import numpy as np

from opentrn.errors import UnsupportedError
from opentrn.nki.beta1.index import Index
from opentrn.nki.beta1.instruction import assign
from opentrn.nki.beta1.language import elementwise
from opentrn.nki.beta1.tensor import Tensor, is_tensor
from opentrn.program.site import user_site

__all__: list[str] = []


def _operator(name: str, *, swapped: bool = False) -> Any:
    def method(self: Tensor, other: Any) -> Any:
        if isinstance(other, Index):
            return _with_index(name, self, other)
        if not is_tensor(other) and not isinstance(other, (int, float, np.generic, bool)):
            return NotImplemented
        return getattr(elementwise, name)(*((other, self) if swapped else (self, other)))

    return method


def _with_index(name: str, tile: Tensor, index: Index) -> Index:
    """A run-time tile in an index expression: ``offsets[0, i] + i_f``."""
    if index.dynamic is not None or name not in ("add",):
        raise UnsupportedError(
            f"{name} of a tile and an index expression", site=user_site(2), expected="tile + expression"
        )
    return Index(index.shape, index.steps, index.start, (tile, 1))


def _in_place(name: str) -> Any:
    def method(self: Tensor, other: Any) -> Any:
        return elementwise.update(name, self, other, _getframe(1))

    return method


_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power", "mod": "mod",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
_COMPARED = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip
_UNARY = {"neg": "negative", "abs": "abs", "invert": "invert"}


def _unary(name: str) -> Any:
    def method(self: Tensor) -> Any:
        return getattr(elementwise, name)(self)

    return method


for _short, _name in _BINARY.items():
    setattr(Tensor, f"__{_short}__", _operator(_name))
    setattr(Tensor, f"__r{_short}__", _operator(_name, swapped=True))
    setattr(Tensor, f"__i{_short}__", _in_place(_name))
for _short, _name in _COMPARED.items():
    setattr(Tensor, f"__{_short}__", _operator(_name))
for _short, _name in _UNARY.items():
    setattr(Tensor, f"__{_short}__", _unary(_name))
Tensor.__hash__ = object.__hash__  # type: ignore[assignment]


def _set(self: Tensor, key: Any, value: Any) -> None:
    assign(self[key], value, _getframe(1))


def _astype(self: Tensor, dtype: Any) -> Tensor:
    """A copy in another dtype (nki.tensor.astype, SDK 2.26: a copy always)."""
    return elementwise.copy(self, dtype=dtype)


Tensor.__setitem__ = _set  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
Tensor.astype = _astype  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
