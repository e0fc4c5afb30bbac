"""Operators as the older dialect spells them: functions of `nki.language`, and numpy's by the same names."""

from __future__ import annotations

from typing import Any

from opentrn.errors import LaunchError
from opentrn.nki.language.compose import op
from opentrn.numerics.activations import ACTIVATIONS
from opentrn.numerics.alu import ALU
from opentrn.program.site import user_site

__all__ = ["operator_name", "operator_of"]

_NUMPY = {
    "max": "maximum", "amax": "maximum", "min": "minimum", "amin": "minimum", "sum": "add", "prod": "multiply",
    "all": "logical_and", "any": "logical_or", "absolute": "abs", "true_divide": "divide", "conjugate": "copy",
    "bitwise_not": "invert",
}  # fmt: skip


def operator_name(value: Any) -> str:
    """The name of an operator, e.g. "maximum" for nl.max, np.max and np.amax. Raises LaunchError for what is none."""
    name = getattr(value, "nki_op", None) or (value if isinstance(value, str) else getattr(value, "__name__", None))
    name = _NUMPY.get(name, name) if name else None
    if name not in ALU and name not in ACTIVATIONS and name not in ("divide", "prelu"):
        raise LaunchError(
            "operator", site=user_site(2), got=repr(value)[:100], expected="a function of nl or numpy, e.g. nl.add"
        )
    return name


def operator_of(value: Any) -> Any:
    """The operator as instructions take it; None for None."""
    return None if value is None else op(operator_name(value))
