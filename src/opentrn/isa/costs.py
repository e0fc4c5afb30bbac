"""Cost forms that instructions of one engine share. Every number comes from the chip's table, with its tier."""

from __future__ import annotations

from opentrn.isa.enums import MemoryRegion
from opentrn.isa.spec import Cost, Use

__all__ = ["dma_cost", "gpsimd_cost", "scalar_cost", "vector_cost"]


def _tiers(use: Use, *paths: str) -> tuple[str, ...]:
    return tuple(use.chip.quantity(path).tier for path in paths)


def vector_cost(use: Use, elements: int, rate: str) -> Cost:
    """`elements` per partition at `cost.vector.<rate>` cycles each, never less than the initiation interval."""
    chip, table = use.chip, use.chip.cost.vector
    cycles = max(chip.cost.min_ii_cycles, elements * table[rate])
    tiers = _tiers(use, f"cost.vector.{rate}", "cost.vector.fixed_ns", "cost.min_ii_cycles")
    return Cost("vector", cycles / chip.engines.vector.clock_hz * 1e9, table.fixed_ns, tiers)


def scalar_cost(use: Use, elements: int, rate: str = "cycles_per_element", fixed: str = "fixed_ns") -> Cost:
    """`elements` per partition on the Scalar Engine; `fixed` names the latency to the first result."""
    chip, table = use.chip, use.chip.cost.scalar
    cycles = max(chip.cost.min_ii_cycles, elements * table[rate])
    tiers = _tiers(use, f"cost.scalar.{rate}", f"cost.scalar.{fixed}", "cost.min_ii_cycles")
    return Cost("scalar", cycles / chip.engines.scalar.clock_hz * 1e9, table[fixed], tiers)


def gpsimd_cost(use: Use, cycles: float) -> Cost:
    """`cycles` of GpSimd work after its fixed start (affine_select is the one that was measured)."""
    chip, table = use.chip, use.chip.cost.gpsimd
    tiers = _tiers(use, "cost.gpsimd.fixed_ns", "cost.gpsimd.cycles_per_element", "cost.gpsimd.drain_ns")
    return Cost("gpsimd", table.fixed_ns + cycles / chip.engines.gpsimd.clock_hz * 1e9, table.drain_ns, tiers)


def dma_cost(use: Use, nbytes: int, descriptors: int) -> Cost:
    """`nbytes` in `descriptors` pieces spread over all DMA engines; the queue is held for the issue time only."""
    chip, table = use.chip, use.chip.cost.dma
    engines = chip.engines.dma.engines
    piece = table.descriptor_ns + nbytes / max(descriptors, 1) / table.bytes_per_ns_per_engine
    moving = max(-(-descriptors // engines) * piece, nbytes / table.cap_bytes_per_ns_core)
    store = use.dst.buffer.is_hbm
    first, done = ("store_first_byte_ns", "store_complete_ns") if store else ("first_byte_ns", "complete_ns")
    tiers = _tiers(use, "cost.dma.issue_ns", "cost.dma.descriptor_ns", f"cost.dma.{first}", f"cost.dma.{done}")
    return Cost("dma", table.issue_ns, table[first] + moving + table[done], tiers)


def in_psum(*tiles: object) -> bool:
    """True when one of the operands is in PSUM."""
    return any(getattr(tile, "buffer", None) is MemoryRegion.psum for tile in tiles)
