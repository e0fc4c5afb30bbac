"""Single instructions on new tiles: the words that the functions of `nki.language` are made of."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from opentrn.isa.attributes import operator
from opentrn.nki.functions import nisa
from opentrn.nki.language.memory import ndarray
from opentrn.nki.tensor import NkiTensor
from opentrn.numerics.dtypes import dtype as dtype_of
from opentrn.program.view import View

__all__ = ["activated", "copied", "in_sbuf", "op", "pair", "scalar", "typed"]

op = cache(operator)
"""The operator of that name. Cached, because checked signatures are found by the operator object."""


def copied(x: View, dtype: Any = None) -> NkiTensor:
    """A new SBUF tile with the values of `x`; bit for bit in the same dtype (NKI 0.6.0 release notes)."""
    out = ndarray(x.shape, dtype or x.dtype)
    nisa.tensor_copy(dst=out, src=x)
    return out


def typed(x: Any, dtype: Any) -> Any:
    """`x` itself if it has that dtype, else a copy that does."""
    return x if dtype_of(dtype).name == x.dtype else copied(x, dtype)


def in_sbuf(x: Any, dtype: Any = None) -> Any:
    """`x` itself if it is in SBUF (with that dtype), else a copy that is."""
    return typed(x, dtype or x.dtype) if x.buffer.value == "sbuf" else copied(x, dtype)


def scalar(
    x: View, first: str, operand0: Any, dtype: Any, second: str | None = None, operand1: Any = None, *,
    reverse: bool = False,
) -> NkiTensor:  # fmt: skip
    """``(x first operand0) second operand1``, operands being numbers or (P, 1) tiles; `reverse` swaps the first."""
    out = ndarray(x.shape, dtype)
    last = None if second is None else op(second)
    nisa.tensor_scalar(dst=out, data=x, op0=op(first), operand0=operand0, reverse0=reverse, op1=last, operand1=operand1)
    return out


def pair(name: str, x: View, y: View, dtype: Any, shape: Sequence[int] | None = None) -> NkiTensor:
    """``x name y`` of two tiles of one size."""
    out = ndarray(shape or x.shape, dtype)
    nisa.tensor_tensor(dst=out, data1=x, data2=y, op=op(name))
    return out


def activated(name: str, x: View, dtype: Any, **more: Any) -> NkiTensor:
    """A function of the Scalar Engine."""
    out = ndarray(x.shape, dtype)
    nisa.activation(dst=out, op=op(name), data=x, **more)
    return out
