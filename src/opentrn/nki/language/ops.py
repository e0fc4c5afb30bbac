"""The operators of `nki.language`: passed as ``op=`` they name an ALU operator or activation; called, they compute.

`nki_op` on each function is the operator's name in `numerics.alu` and `numerics.activations`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentrn.nki.language.compute import BINARY, UNARY, binary, unary
from opentrn.nki.tensor import Answer

__all__ = [*BINARY, *UNARY, "average", "bypass", "prelu"]  # pyright: ignore[reportUnsupportedDunderAll]


COMPARISONS = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}


class _Marker:
    """An operator that only makes sense as ``op=`` of an instruction."""

    def __init__(self, name: str) -> None:
        self.nki_op = self.__name__ = name

    def __repr__(self) -> str:
        return f"nl.{self.nki_op}"


def _made(name: str, body: Callable[..., Any], text: str) -> Callable[..., Any]:
    body.__name__ = body.__qualname__ = name
    body.__doc__, body.__module__ = text, "nki.language"
    body.nki_op = name  # type: ignore[attr-defined]
    return body


def _binary(name: str, text: str) -> Callable[..., Any]:
    def operator(x: Any, y: Any, dtype: Any = None) -> Any:
        made = binary(name, x, y, dtype)
        return Answer.of(made) if name in COMPARISONS else made

    return _made(name, operator, f"{text}, element-wise: a new SBUF tile (dtype: that of the tile operand).")


def _unary(name: str, text: str) -> Callable[..., Any]:
    def operator(x: Any, dtype: Any = None) -> Any:
        return unary(name, x, dtype)

    return _made(name, operator, f"{text}, element-wise: a new SBUF tile (dtype: that of `x`).")


globals().update({name: _binary(name, text) for name, text in BINARY.items()})
globals().update({name: _unary(name, text) for name, text in UNARY.items()})
if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


equal, maximum = globals()["equal"], globals()["maximum"]
average, bypass, prelu = _Marker("average"), _Marker("bypass"), _Marker("prelu")
