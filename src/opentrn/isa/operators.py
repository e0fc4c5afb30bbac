"""How instructions use the ALU operators: which are legal where, and how values meet them."""

from __future__ import annotations

from typing import Any

import numpy as np

from opentrn.isa.rules import integers_only
from opentrn.isa.spec import Broken, Use
from opentrn.numerics import alu
from opentrn.numerics.alu import AluOp
from opentrn.numerics.latitude import taken

__all__ = [
    "FOLDED",
    "TRN3_OPS",
    "TRN3_SCALAR_OPS",
    "UNARY",
    "arithmetic_only",
    "binary_only",
    "bitvec_needs_integers",
    "fold",
    "gpsimd_integers",
    "is_bitvec",
    "on_hardware",
    "operand_bits",
    "operand_given",
    "reversed_apply",
    "scalar_op0_exists",
]  # fmt: skip

TRN3_OPS = frozenset({"abs_max", "abs_min"})
"""Operators that exist from NeuronCore-v4 on (nl.abs_max, nl.abs_min, SDK 2.32)."""

TRN3_SCALAR_OPS = frozenset({"square", "relu"})
"""Operators that tensor_scalar and its like take from NeuronCore-v4 on, as op0 (NKI 0.4.0 release notes)."""

FOLDED = frozenset({"add", "multiply", "maximum", "minimum"})
"""Reductions that have a neutral element to pad with, and a fixed order (`fold`)."""

UNARY = frozenset({"abs", "square", "relu", "rsqrt", "reciprocal", "invert", "bypass"})


def is_bitvec(op: AluOp | None) -> bool:
    """True for operators on bit patterns."""
    return op is not None and op.kind == "bitvec"


def on_hardware(use: Use, *ops: AluOp | None) -> None:
    """Every operator exists on the target: no divide or mod anywhere, abs_max/abs_min on NeuronCore-v4."""
    for op in ops:
        if op is not None and not op.hardware:
            raise Broken(f"nl.{op.name}", "an operator the hardware has", "multiply by nl.reciprocal")
        if op is not None and op.name in TRN3_OPS and use.chip.nc_version < 4:
            raise Broken(f"nl.{op.name} on {use.chip.name}", "trn3 or newer")


def binary_only(*ops: AluOp | None) -> None:
    """Operators of two inputs."""
    for op in ops:
        if op is not None and (op.name in UNARY or op.name == "average"):
            raise Broken(f"nl.{op.name}", "an operator of two inputs")


def arithmetic_only(*ops: AluOp | None) -> None:
    """No bitvec operators."""
    for op in ops:
        if is_bitvec(op):
            raise Broken(f"nl.{op.name}", "an arithmetic operator")  # type: ignore[union-attr]


def operand_given(op: AluOp, operand: Any) -> None:
    """A unary operator takes None or 0, every other an operand."""
    if op.name in UNARY and not (operand is None or (isinstance(operand, (int, float)) and operand == 0)):
        raise Broken(f"nl.{op.name} with operand {operand}", "None or 0")
    if op.name not in UNARY and operand is None:
        raise Broken(f"nl.{op.name} without an operand", "a number or a (P, 1) tile")


def scalar_op0_exists(use: Use) -> None:
    """``op0`` of one input is square or relu only on NeuronCore-v4 (NKI 0.4.0 release notes)."""
    if use.op0.name in TRN3_SCALAR_OPS and use.chip.nc_version < 4:
        raise Broken(f"nl.{use.op0.name} on {use.chip.name}", "trn3 or newer", "nisa.activation has it on every chip")


def bitvec_needs_integers(op: AluOp | None, *tiles: Any) -> None:
    """Bitvec operators work on integers only."""
    if is_bitvec(op):
        integers_only(*tiles)


def reversed_apply(op: AluOp, left: Any, right: Any, swap: bool) -> np.ndarray:
    """``left op right``, or ``right op left`` when `swap`; unary operators always see ``left``."""
    return alu.apply(op, right, left) if swap and op.name not in UNARY else alu.apply(op, left, right)


def fold(op: AluOp, values: np.ndarray) -> np.ndarray:
    """(P, n) float32 values reduced to (P, 1) in opentrn's fixed order, which the native core shares.

    Element i goes to lane i % 16, each lane combines its elements from first to last, then lanes are halved: j with
    j + 8, j + 4, j + 2, j + 1. The order of the hardware is not public.
    """
    lanes = 16
    rows, count = values.shape
    if op.name in alu.REORDERED and taken("sum_order"):
        values = values[:, ::-1]
    start = np.float32(-0.0 if op.name == "add" else alu.identity(op))
    padded = np.full((rows, -(-count // lanes) * lanes), start, np.float32)
    padded[:, :count] = values
    steps = padded.reshape(rows, -1, lanes)
    total = np.full((rows, lanes), start, np.float32)
    for step in range(steps.shape[1]):
        total = alu.apply(op, total, steps[:, step])
    while lanes > 1:
        lanes //= 2
        total = alu.apply(op, total[:, :lanes], total[:, lanes:])
    return total


def operand_bits(value: Any, like: Any) -> Any:
    """A number or tile as integers of the width at which a bitvec operator works on `like`.

    Of a number the low bits count: -1 and 0xFFFFFFFF are the same 32-bit pattern, whatever the sign of the dtype.
    """
    if not isinstance(value, (int, float)):
        return value.raw()
    size = like.dt.itemsize
    return np.array(int(value) % 2 ** (8 * size), f"u{size}").view(like.dt.carrier)


def gpsimd_integers(*tiles: Any) -> bool:
    """True when all tiles are int32 or uint32, in SBUF: GpSimd then computes with exact integers."""
    return all(t.dtype in ("int32", "uint32") and t.buffer.value != "psum" for t in tiles)
