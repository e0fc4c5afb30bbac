"""The accumulator registers of the Scalar and Vector Engines: one float32 for each of 128 partitions.

They persist from instruction to instruction of one engine; `reduce_cmd` says what an instruction does with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from opentrn.errors import KernelError
from opentrn.isa.enums import reduce_cmd
from opentrn.isa.spec import Use
from opentrn.numerics import alu

__all__ = ["accumulate"]


def accumulate(use: Use, op: alu.AluOp | None, values: np.ndarray, load: Any = None) -> np.ndarray:
    """Update the registers of `use.engine` by `use.reduce_cmd` with (P, elements) `values`; gives them back as (P, 1).

    `load` holds the (P, 1) or scalar start values of ``load_reduce``. Registers of the lanes that `values` doesn't
    touch stay as they are. Raises KernelError when registers are used that were never set.
    """
    command = use.reduce_cmd
    registers = use.core.accumulators.setdefault(use.engine, np.full((128, 1), np.nan, np.float32))
    known = use.core.accumulators.setdefault((use.engine, "known"), np.zeros(128, bool))
    lanes = slice(use.dst.start_partition, use.dst.start_partition + len(values))
    if command in (reduce_cmd.reset, reduce_cmd.reset_reduce):
        registers[lanes] = alu.identity(op) if op is not None else 0.0
        known[lanes] = True
    elif command is reduce_cmd.load_reduce:
        registers[lanes] = load
        known[lanes] = True
    if command in (reduce_cmd.reduce, reduce_cmd.reset_reduce, reduce_cmd.load_reduce):
        assert op is not None
        _require(known[lanes].all())
        registers[lanes] = alu.apply(op, registers[lanes], alu.reduce(op, values, -1).reshape(-1, 1))
    if getattr(use, "reduce_res", None) is not None:
        _require(known[lanes].all())
    return registers[lanes].copy()


def _require(known: Any) -> None:
    if not known:
        raise KernelError("the engine's accumulator registers are used before they were reset",
                          expected="reduce_cmd.reset_reduce (or reset) before reduce", hint="the first of a chain resets")
