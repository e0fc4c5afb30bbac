"""The accumulator registers of the Scalar and Vector Engines: one float32 for each of 128 partitions.

They persist from instruction to instruction of one engine; `reduce_cmd` says what an instruction does with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from opentrn.errors import KernelError
from opentrn.isa.enums import reduce_cmd
from opentrn.isa.operators import FOLDED, fold
from opentrn.isa.spec import Use
from opentrn.numerics import alu

__all__ = ["accumulate", "start_of"]


def _registers(use: Use) -> tuple[np.ndarray, np.ndarray]:
    """(values, which are known) of the lanes that the instruction's dst occupies."""
    bank = use.core.accumulators
    values = bank.setdefault(use.engine, np.zeros((128, 1), np.float32))
    known = bank.setdefault((use.engine, "known"), np.zeros(128, bool))
    lanes = slice(use.dst.start_partition, use.dst.start_partition + use.dst.partitions)
    return values[lanes], known[lanes]


def start_of(use: Use, op: alu.AluOp | None, load: Any = None) -> np.ndarray:
    """Apply the reset or load of `use.reduce_cmd`; gives back the registers as (P, 1).

    Raises KernelError when they are carried on from nothing.
    """
    values, known = _registers(use)
    if use.reduce_cmd in (reduce_cmd.reset, reduce_cmd.reset_reduce):
        values[:] = 0.0 if op is None or op.name == "subtract" else alu.identity(op)
        known[:] = True
    elif use.reduce_cmd is reduce_cmd.load_reduce:
        values[:] = load
        known[:] = True
    elif use.reduce_cmd is reduce_cmd.reduce and not known.all():
        raise _unset()
    return values.copy()


def accumulate(
    use: Use, op: alu.AluOp | None, values: np.ndarray, load: Any = None, *, keep: bool = False
) -> np.ndarray:
    """Update the registers of `use.engine` by `use.reduce_cmd` with (P, elements) `values`; gives them back as (P, 1).

    `load` holds the start values of ``load_reduce``; with `keep` the registers become `values` (P, 1) as they are.
    Raises KernelError when registers are used that were never set.
    """
    registers, known = _registers(use)
    if keep:
        registers[:] = values
        return registers.copy()
    start_of(use, op, load)
    if use.reduce_cmd in (reduce_cmd.reduce, reduce_cmd.reset_reduce, reduce_cmd.load_reduce) and op is not None:
        total = fold(op, values) if op.name in FOLDED else alu.reduce(op, values, -1).reshape(-1, 1)
        registers[:] = alu.apply(op, registers, total)
    if use.values.get("reduce_res") is not None and not known.all():
        raise _unset()
    return registers.copy()


def _unset() -> KernelError:
    return KernelError(
        "the engine's accumulator registers are used before they were reset",
        expected="reduce_cmd.reset_reduce (or reset) before reduce",
        hint="the first of a chain resets",
    )
