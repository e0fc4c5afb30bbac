"""What the instructions of the Tensor Engine share: the shape of operands on the array, accumulation, cost."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from opentrn.isa.attributes import integers
from opentrn.isa.costs import addressed, cycles_ns, tiers_of
from opentrn.isa.enums import matmul_perf_mode
from opentrn.isa.spec import Attribute, Broken, Cost, Tile, Use
from opentrn.numerics.casts import convert, to_f32
from opentrn.numerics.latitude import taken

__all__ = ["accumulate_into", "contraction", "in_one_bank", "matmul_cost", "pass_through", "tile_pair", "uses_tiling"]


def _pair(value: Any) -> tuple[int, ...]:
    pair = () if value is None else integers.parse(value)
    if len(pair) not in (0, 2):
        raise Broken(repr(value), "(rows, columns) or nothing")
    return pair


tile_pair = Attribute(_pair, "tuple (row, column), or empty")


def uses_tiling(use: Use) -> bool:
    """True when the product occupies a part of the array."""
    return bool(use.tile_size)


def contraction(use: Use, tile: Tile) -> tuple[int, int]:
    """(contraction size, free size) of an operand: (K, rest), or (2 K, rest) in double-row mode."""
    if use.values.get("perf_mode") is matmul_perf_mode.double_row and len(tile.shape) > 2:
        return tile.shape[0] * 2, prod(tile.shape[2:])
    return tile.partitions, tile.elements


def in_one_bank(dst: Any, chip: Any) -> None:
    """`dst` lies within one PSUM bank (trainium_inferentia2_arch.rst, line 791)."""
    base = dst.storage.allocation.address
    first = (base[1] if base else 0) + dst.start_byte
    last = (
        first
        + (sum((n - 1) * s for n, s in zip(dst.shape[1:], dst.strides[1:], strict=True)) + 1) * dst.dt.itemsize
        - 1
    )
    bank = chip.memory.psum_bank_bytes
    if first // bank != last // bank:
        raise Broken(f"bytes {first} to {last} of the partition", f"within one bank of {bank} bytes")


def pass_through(dst: Any, stationary: Any, moving: Any) -> bool:
    """Move ``stationary``'s bits to ``dst`` when each column of ``moving`` has a single one; False when it has not."""
    pick = moving.f32()
    if not (np.isin(pick, (0.0, 1.0)).all() and (pick.sum(0) == 1).all()):
        return False
    values, written = stationary.moved()
    chosen = pick.argmax(0)
    rows = convert(values.reshape(stationary.partitions, -1)[chosen].T, stationary.held, dst.held)
    dst.place(
        np.ascontiguousarray(rows), None if written is None else written.reshape(stationary.partitions, -1)[chosen].T
    )
    return True


def _written(dst: Any) -> np.ndarray:
    """Which elements of `dst` hold values, as (M, N) booleans."""
    return dst.written() if dst.dynamic is None else ~dst.where().unwritten().reshape(dst.partitions, -1)


def _peek(dst: Any) -> np.ndarray:
    """(M, N) float32 of what `dst` holds; meaningful where it was written."""
    return dst.peek() if dst.dynamic is None else to_f32(dst.where().gather(), dst.held).reshape(dst.partitions, -1)


def accumulate_into(dst: Any, stationary: np.ndarray, moving: np.ndarray, accumulate: bool | None) -> None:
    """Write ``stationary.T @ moving`` (K, M) (K, N) float32 to PSUM, or add it, as `nc_matmul` documents ``accumulate``.

    None decides per element: added to where something was written, written elsewhere.
    """
    if taken("sum_order"):
        stationary, moving = stationary[::-1], moving[::-1]
    product, written = stationary.T @ moving, _written(dst)
    if accumulate is False or (accumulate is None and not written.any()):
        dst.store(product)
    elif accumulate is None and not written.all():
        dst.store(np.where(written, _peek(dst) + product, product))
    else:
        dst.store(dst.f32() + product)  # accumulate=True on PSUM that nothing wrote is an uninitialised read


def _rate(use: Use, dtype: str) -> str:
    """The entry of `cost.tensor` for one row of ``moving``."""
    if use.values.get("perf_mode") is matmul_perf_mode.double_row:
        return "cycles_per_row_fp8_double_row"
    if dtype.endswith("_x4"):
        return "cycles_per_row_mx"
    return {"float32": "cycles_per_row_fp32"}.get(
        dtype, "cycles_per_row_fp8" if dtype.startswith("float8") else "cycles_per_row_16bit"
    )


def matmul_cost(use: Use, columns: int, rows: int, dtype: str, speedup: str | None = None, flops: float = 0.0) -> Cost:
    """`rows` of moving data at the rate of `dtype` over `columns` of stationary data, no faster than the start-up.

    `speedup` names a ratio of `cost.tensor`. float32 takes two passes, a transpose one. Loading the stationary data hides
    behind the instruction before it (`Cost.preload_ns`).
    """
    table = use.chip.cost.tensor
    rate, quick = _rate(use, dtype), table[speedup] if speedup else 1
    passes = table.fp32_passes if dtype == "float32" and speedup != "transpose_fp32_speedup" else 1
    cycles = max(rows, table.mm_init_cycles) * table[rate] / quick + passes * table.issue_cycles
    names = [
        rate,
        *(["mm_init_cycles"] if rows < table.mm_init_cycles else []),
        "issue_cycles",
        "fixed_ns",
        "load_stationary_speedup",
        *([speedup] if speedup else []),
    ]
    if _half_array(use, dtype):
        cycles *= table.fp32_half_array_factor
        names.append("fp32_half_array_factor")
    preload = columns / table.load_stationary_speedup * table[rate]
    tiers = tiers_of(use, *(f"tensor.{name}" for name in names))
    cost = Cost("tensor", cycles_ns(use, "tensor", cycles), table.fixed_ns, tiers, flops=flops, elements=rows)
    return addressed(use, replace(cost, preload_ns=cycles_ns(use, "tensor", preload)))


def _half_array(use: Use, dtype: str) -> bool:
    """True for float32 products of at most half the array's rows, measured to be twice as slow (cause unknown)."""
    product = dtype == "float32" and "moving" in use.values and not use.values.get("is_transpose")
    half = use.chip.limits.gemm_contraction_max // 2
    return product and use.moving.partitions <= half and "fp32_half_array_factor" in use.chip.cost.tensor
