"""Cost forms that instructions of one engine share. Every number comes from the chip's table, with its tier."""

from __future__ import annotations

from opentrn.isa.enums import MemoryRegion
from opentrn.isa.spec import Cost, Tile, Use

__all__ = [
    "dma_cost",
    "gpsimd_cost",
    "in_psum",
    "scalar_cost",
    "tensor_scalar_rate",
    "tensor_tensor_rate",
    "vector_copy_rate",
    "vector_cost",
]


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


_HALF = ("bfloat16", "float16")


def vector_copy_rate(use: Use, src: Tile, dst: Tile) -> str:
    """The entry of `cost.vector` for a copy: 16-bit floats stream faster (trainium2_arch.rst, "Performance Mode")."""
    if src.dtype in _HALF and dst.dtype in _HALF:
        if in_psum(src) and in_psum(dst):
            return "cycles_per_element_psum_copy"
        if in_psum(src, dst):
            return "cycles_per_element_16bit_copy_one_psum"
        dense = src.strides[-1] == 1 and dst.strides[-1] == 1
        return "cycles_per_element_16bit_copy" if dense else "cycles_per_element_16bit_copy_strided"
    if in_psum(src, dst):
        return "cycles_per_element_psum_copy"
    if src.dtype in _HALF and dst.dtype == "float32":
        return "cycles_per_element_bf16_to_fp32_copy"
    return "cycles_per_element_fp32_copy"


def tensor_tensor_rate(dst: Tile, *inputs: Tile) -> str:
    """The entry of `cost.vector` for two streamed inputs: faster when all are 16-bit floats in SBUF."""
    if all(t.dtype in _HALF for t in (dst, *inputs)) and not in_psum(*inputs):
        return "cycles_per_element_16bit_tensor_tensor"
    return "cycles_per_element_psum_tensor_tensor" if in_psum(*inputs) else "cycles_per_element_fp32_tensor_tensor"


def tensor_scalar_rate(src: Tile, dst: Tile) -> str:
    """The entry of `cost.vector` for one streamed input with scalar operands."""
    if src.dtype in _HALF and dst.dtype in _HALF and not (in_psum(src) and in_psum(dst)):
        if in_psum(src, dst):
            return "cycles_per_element_16bit_tensor_scalar_one_psum"
        dense = src.strides[-1] == 1 and dst.strides[-1] == 1
        return "cycles_per_element_16bit_tensor_scalar" if dense else "cycles_per_element_16bit_tensor_scalar_strided"
    return "cycles_per_element_psum_copy" if in_psum(src, dst) else "cycles_per_element_fp32_tensor_scalar"
