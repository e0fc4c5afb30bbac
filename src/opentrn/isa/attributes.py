"""Compile-time attributes of instructions: what callers may write, turned into one canonical value.

Public kernels of older NKI versions write enum members as raw ints or strings, and operators as numpy ufuncs; these are
understood, with a DeprecationWarning that names today's spelling (NKI 0.3.0 release notes, "Breaking Changes").
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from numbers import Integral, Real
from typing import Any

from opentrn.isa.spec import Attribute, Broken, note
from opentrn.numerics.activations import ACTIVATIONS, Activation
from opentrn.numerics.alu import ALU, AluOp

__all__ = [
    "activation", "alu", "alu_of", "boolean", "choice", "integer", "integer_or_register", "integers", "member", "number", "operator",
    "optional", "pattern",
]  # fmt: skip


def _op_name(value: Any) -> str | None:
    """The operator's name: NKI functions carry it as `nki_op`; numpy ufuncs and plain strings are older spellings."""
    name = getattr(value, "nki_op", None)
    if name is not None:
        return name
    name = value if isinstance(value, str) else getattr(value, "__name__", None)
    return {"max": "maximum", "min": "minimum", "absolute": "abs", "bool_": None}.get(name, name) if name else None


def alu_of(value: Any) -> AluOp:
    """The ALU operator that `value` names; Broken if it names none."""
    name = _op_name(value)
    if name not in ALU:
        raise Broken(repr(value), "a math operator of nki.language (see opentrn isa, 'operators')")
    return ALU[name]


def _activation_of(value: Any) -> Activation:
    name = {"absolute": "abs"}.get(_op_name(value) or "", _op_name(value))
    if name not in ACTIVATIONS:
        raise Broken(repr(value), f"one of nl.{', nl.'.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


alu = Attribute(alu_of, "math operator, e.g. `nl.add`")
activation = Attribute(_activation_of, "activation function, e.g. `nl.exp`")


def optional(attribute: Attribute) -> Attribute:
    """The same attribute, or None."""
    return Attribute(lambda v: None if v is None else attribute.parse(v), attribute.text + ", or None")


def member(value: Any, kind: type[Enum]) -> Any:
    """The member of `kind` that `value` is, or spells in an older way."""
    if isinstance(value, kind):
        return value
    found = next((m for m in kind if value in (m.value, m.name) and not isinstance(value, bool)), None)
    if found is None:
        raise Broken(repr(value), f"a member of {kind.__name__}: {', '.join(m.name for m in kind)}")
    text = f"{value!r} is the old spelling of nki.isa.{kind.__name__}.{found.name}"
    note(text)
    return found


def choice(kind: type[Enum], *allowed: Enum) -> Attribute:
    """A member of an enumeration, optionally restricted to `allowed`."""

    def parse(value: Any) -> Any:
        found = member(value, kind)
        if allowed and found not in allowed:
            raise Broken(found.name, "one of " + ", ".join(a.name for a in allowed))
        return found

    names = ", ".join(f"`{m.name}`" for m in (allowed or tuple(kind)))
    return Attribute(parse, f"`nisa.{kind.__name__}`: {names}")


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise Broken(f"{value!r} ({type(value).__name__})", "a compile-time integer")
    return int(value)


def _boolean(value: Any) -> bool:
    if value not in (True, False):
        raise Broken(repr(value), "True or False")
    return bool(value)


def _number(value: Any) -> float | int:
    if not isinstance(value, Real):
        raise Broken(f"{value!r} ({type(value).__name__})", "a compile-time number")
    return int(value) if isinstance(value, Integral) else float(value)


def _integers(value: Any) -> tuple[int, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise Broken(repr(value), "a list of integers")
    return tuple(_integer(v) for v in value)


def _pattern(value: Any) -> tuple[tuple[int, int], ...]:
    try:
        pairs = tuple((_integer(step), _integer(count)) for step, count in value)
    except (TypeError, ValueError):
        raise Broken(repr(value), "[[step, num], ...]") from None
    if not 1 <= len(pairs) <= 4 or any(count < 1 for _, count in pairs):
        raise Broken(repr(value), "one to four [step, num] pairs with positive nums")
    return pairs


class Operator:
    """The default of an operator parameter: prints as the public function, e.g. ``nl.maximum``."""

    def __init__(self, name: str) -> None:
        self.nki_op = self.__name__ = name

    def __repr__(self) -> str:
        return f"nl.{self.nki_op}"


def operator(name: str) -> Operator:
    """The operator called `name`, for signatures (the functions of `nki.language` stand above this room)."""
    return Operator(name)


def _integer_or_register(value: Any) -> int:
    # registers always have a known value while a kernel is recorded
    return _integer(value.read() if getattr(value, "is_register", False) else value)


integer = Attribute(_integer, "integer")
integer_or_register = Attribute(_integer_or_register, "integer or register")
boolean = Attribute(_boolean, "bool")
number = Attribute(_number, "number")
integers = Attribute(_integers, "list of integers")
pattern = Attribute(_pattern, "access pattern `[[step, num], ...]`, at most 4 pairs")
"""Patterns of iota and affine_select: at most 4-D (nisa.iota, SDK 2.32)."""
