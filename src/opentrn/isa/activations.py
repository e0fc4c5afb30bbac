"""What the activation instructions of the Scalar Engine share: scale and bias, the running sum, the cost of reading it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from opentrn.isa.accumulators import accumulate
from opentrn.isa.costs import cycles_ns, in_psum, scalar_cost, scalar_tensors, tiers_of
from opentrn.isa.meanings import value
from opentrn.isa.spec import Cost, Use
from opentrn.numerics.activations import Activation
from opentrn.numerics.casts import to_f32
from opentrn.numerics.dtypes import DType
from opentrn.numerics.latitude import ordinary, taken

__all__ = ["DIFFERS", "activation_cost", "applied", "invalid", "limited", "scaled", "table_of", "write_with_sum"]

TABLE_FROM = 1 << 14
"""Elements from which a table of all 16-bit inputs pays."""

DIFFERS = (
    "The functions are evaluated as reference mathematics in float32; the Scalar Engine uses piece-wise polynomials "
    "whose coefficients are not public. Only sin outside [-pi, pi] follows the documented polynomial.",
    "The registers are those of the partitions that dst occupies.",
)


def scaled(use: Use) -> np.ndarray:
    """``data * scale + bias`` as (P, elements) float32, rounded after each of the two steps."""
    bias = np.float32(0) if use.bias is None else value(use.bias)
    return np.asarray(value(use.data) * value(use.scale) + bias)


def applied(use: Use) -> np.ndarray:
    """``op(data * scale + bias)`` as (P, elements) float32.

    Large 16-bit tiles with constant scale and bias look the 65,536 possible results up in a table of the same function.
    """
    constants = isinstance(use.scale, (int, float)) and isinstance(use.bias, (int, float, type(None)))
    if not (
        constants
        and ordinary()
        and use.data.held.itemsize == 2
        and use.data.elements * use.data.partitions >= TABLE_FROM
    ):
        return use.op.f(limited(use.op, scaled(use)))
    table = _table(use.op, use.data.held, _bits(use.scale), _bits(0.0 if use.bias is None else use.bias))
    return table[use.data.raw().view(np.uint16)]


def invalid(op: Activation, data: np.ndarray) -> np.ndarray:
    """Where float32 `data` is outside the documented range of `op` (NaN is nowhere)."""
    inside = np.abs(data) if op.name == "reciprocal" else data
    low, high = np.float32(op.valid[0]), np.float32(op.valid[1])
    return (inside < low) | (inside > high)


def limited(op: Activation, data: np.ndarray) -> np.ndarray:
    """`data`; with NaN where `op` is not valid, when that choice is taken."""
    return np.where(invalid(op, data), np.float32(np.nan), data) if taken("function_range") else data


def _bits(number: float) -> bytes:
    """A key that tells 0.0 from -0.0."""
    return np.float32(number).tobytes()


@lru_cache(maxsize=64)
def _table(op: Any, held: DType, scale: bytes, bias: bytes) -> np.ndarray:
    """Results for every 16-bit pattern of `held`."""
    data = to_f32(np.arange(1 << 16, dtype=np.uint16).view(held.carrier), held)
    table = op.f(data * np.frombuffer(scale, np.float32) + np.frombuffer(bias, np.float32))
    table.setflags(write=False)
    return table


def write_with_sum(use: Use, result: np.ndarray) -> None:
    """Reduce `result` (P, elements) float32 into the registers by ``reduce_cmd``; write it, then ``reduce_res``.

    In this order, so that a ``reduce_res`` that aliases ``dst`` keeps the sum (NKI 0.6.0 release notes).
    """
    total = accumulate(use, use.reduce_op, result)
    use.dst.store(result)
    if use.reduce_res is not None:
        use.reduce_res.store(total)


def activation_cost(use: Use) -> Cost:
    """One pass over the data, and the instruction that reads the registers when there is a ``reduce_res``."""
    # every function but copy has a bias, of the compiler's where the kernel gives none (voyager-compiler's bases)
    own_bias = use.op.name != "copy" and "bias" in use.values and not hasattr(use.bias, "dtype")
    broadcast = scalar_tensors(use) + own_bias
    base = scalar_cost(use, use.data, _rate(use), broadcast)
    tiers = (*base.tiers, *tiers_of(use, "scalar.act_table_load_ns", "scalar.act_table_groups"))
    base = replace(base, table=table_of(use.op.name, use.chip), tiers=tiers)
    return base if use.reduce_res is None else _read(use, base)


def table_of(function: str, chip: Any) -> str:
    """The activation table that holds a function: that of its group, or one of its own."""
    return next((group for group in chip.cost.scalar.act_table_groups if function in group.split()), function)


def _rate(use: Use) -> str:
    """The entry of `cost.scalar` for one element."""
    if not in_psum(use.data):
        return "cycles_per_element"
    rate = "cycles_per_element"
    if use.op.name == "silu":
        rate = "cycles_per_element_silu_psum"
    elif use.op.name != "copy" and use.dst.dtype == "bfloat16":
        rate = "cycles_per_element_psum_to_bf16"
    return rate if rate in use.chip.cost.scalar else "cycles_per_element"


def _read(use: Use, base: Cost) -> Cost:
    """`base` and the instruction that reads the registers: measured on trn2, documented in cycles on trn1."""
    table = use.chip.cost.scalar
    if "read_accumulator_issue_ns" in table:
        issue, names = table.read_accumulator_issue_ns, ("read_accumulator_issue_ns", "read_accumulator_complete_ns")
        latency = table.read_accumulator_complete_ns - issue
    else:
        issue, names = cycles_ns(use, "scalar", table.read_accumulator_cycles), ("read_accumulator_cycles",)
        latency = base.latency_ns
    tiers = (*base.tiers, *tiers_of(use, *(f"scalar.{name}" for name in names)))
    return replace(base, busy_ns=base.busy_ns + issue, latency_ns=latency, tiers=tiers)
