"""The operands of a `timing.Operation`, read back from its words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

__all__ = ["Described", "described", "streamed_dtype"]

_OPERAND = re.compile(r"([\w\[\]]+) \(([\d, ]*)\) (\w+)")


@dataclass(frozen=True)
class Described:
    """One operand: its name, shape and dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def partitions(self) -> int:
        """Its first dimension; 1 where it has none."""
        return self.shape[0] if self.shape else 1


@cache
def described(operands: str) -> tuple[Described, ...]:
    """The operands named in ``dst (128, 512) float32 psum, data (128, 512) bfloat16 sbuf``, in that order."""
    found = _OPERAND.findall(operands)
    return tuple(
        Described(name, tuple(int(n) for n in shape.split(",") if n.strip()), dtype) for name, shape, dtype in found
    )


def streamed_dtype(operands: str) -> str | None:
    """The dtype that TensorE reads: that of the first operand which is not `dst`; None where there is none."""
    return next((operand.dtype for operand in described(operands) if operand.name != "dst"), None)
