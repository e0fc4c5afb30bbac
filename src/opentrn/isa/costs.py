"""Cost forms that instructions of one engine share. Every number comes from the chip's table, with its tier.

An instruction holds its engine for some static cycles and for the elements it streams (`Cost.busy_ns`: the interval to the
next one); its result is there one drain later (`Cost.latency_ns`). Transfers are in `isa/transfers.py`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from opentrn.isa.enums import MemoryRegion
from opentrn.isa.spec import Cost, Tile, Use

__all__ = [
    "addressed",
    "cycles_ns",
    "gpsimd_cost",
    "in_psum",
    "inferred",
    "scalar_cost",
    "scalar_rate",
    "scalar_tensors",
    "tensor_scalar_rate",
    "tensor_tensor_rate",
    "tiers_of",
    "vector_copy_rate",
    "vector_cost",
]


def tiers_of(use: Use, *paths: str) -> tuple[str, ...]:
    """The tiers of quantities below `cost`."""
    return tuple(use.chip.quantity(f"cost.{path}").tier for path in paths)


def cycles_ns(use: Use, engine: str, cycles: float) -> float:
    """`cycles` of an engine in ns."""
    return cycles / use.chip.engines[engine].clock_hz * 1e9


def inferred(cost: Cost) -> Cost:
    """A cost taken over from another instruction."""
    return replace(cost, tiers=(*cost.tiers, "inferred"))


def scalar_tensors(use: Use) -> int:
    """How many operands that could be numbers are (P, 1) tensors, which an instruction reads before it streams."""
    tensors = dict(use.tensors())
    numbers = [name for name, operand in use.instruction.operands.items() if operand.or_number]
    return sum(name in tensors and tensors[name].elements == 1 for name in numbers)


def addressed(use: Use, cost: Cost) -> Cost:
    """`cost`, and what a run-time address adds: an instruction that has one takes a minimum of cycles."""
    if not any(tile.dynamic is not None for _, tile in use.tensors()):
        return cost
    least = cycles_ns(use, cost.engine, use.chip.cost.dynamic_operand_min_cycles)
    tiers = (*cost.tiers, *tiers_of(use, "dynamic_operand_min_cycles"))
    return replace(cost, address_ns=max(0.0, least - cost.busy_ns), tiers=tiers)


def _streaming(use: Use, engine: str, elements: int, rate: float) -> float:
    """ns for `elements` per partition at `rate` cycles each, and the static cycles of the instruction."""
    cost = use.chip.cost
    return cycles_ns(use, engine, max(cost.min_ii_cycles, cost.access_static_cycles + elements * rate))


def vector_cost(use: Use, elements: int, rate: str) -> Cost:
    """`elements` per partition at `cost.vector.<rate>` cycles each, after the scalar operands.

    Faster than one element per cycle only while GpSimd leaves the shared port alone (trainium2_arch.rst).
    """
    table, scalars = use.chip.cost.vector, scalar_tensors(use)
    pointers = cycles_ns(use, "vector", scalars * table.scalar_operand_cycles)
    busy = pointers + _streaming(use, "vector", elements, table[rate])
    names = [f"vector.{rate}", "access_static_cycles", "vector.drain_ns"]
    names += ["vector.scalar_operand_cycles"] if scalars else []
    shared = None
    if table[rate] < 1 and use.chip.features.vector_gpsimd_sbuf_parallel:
        shared = pointers + _streaming(use, "vector", elements, table.cycles_per_element_shared)
        names.append("vector.cycles_per_element_shared")
    cost = Cost("vector", busy, table.drain_ns, tiers_of(use, *names), shared_ns=shared, elements=elements)
    return addressed(use, cost)


def scalar_cost(use: Use, data: Tile, rate: str = "cycles_per_element", broadcast: int = 0) -> Cost:
    """`data` streamed through the Scalar Engine; `broadcast` counts its (P, 1) operands."""
    table, names = use.chip.cost.scalar, [f"scalar.{rate}", "access_static_cycles", "scalar.drain_ns"]
    busy = _streaming(use, "scalar", data.elements, table[rate])
    # only the measurements on NeuronCore-v3 tell these two from the static cycles
    for name, count in (("sbuf_source_ns", not in_psum(data)), ("broadcast_operand_ns", broadcast)):
        if count and name in table:
            busy += count * table[name]
            names.append(f"scalar.{name}")
    return addressed(use, Cost("scalar", busy, table.drain_ns, tiers_of(use, *names), elements=data.elements))


def gpsimd_cost(use: Use, cycles: float, elements: int = 0) -> Cost:
    """`cycles` of GpSimd work after its fixed start (iota and affine_select are what is documented and measured)."""
    table = use.chip.cost.gpsimd
    busy = cycles_ns(use, "gpsimd", table.fixed_cycles + cycles * table.cycles_per_element)
    tiers = tiers_of(use, "gpsimd.fixed_cycles", "gpsimd.cycles_per_element", "gpsimd.drain_ns")
    return addressed(use, Cost("gpsimd", busy, table.drain_ns, tiers, elements=elements or int(cycles)))


def in_psum(*tiles: object) -> bool:
    """True when one of the operands is in PSUM."""
    return any(getattr(tile, "buffer", None) is MemoryRegion.psum for tile in tiles)


_HALF = ("bfloat16", "float16")


def _dense(*tiles: Any) -> bool:
    return all(tile.strides[-1] == 1 for tile in tiles)


def vector_copy_rate(use: Use, src: Tile, dst: Tile) -> str:
    """The entry of `cost.vector` for a copy: 16-bit floats stream faster (trainium2_arch.rst, "Performance Mode")."""
    if src.dtype in _HALF and dst.dtype in _HALF:
        if in_psum(src) and in_psum(dst):
            return "cycles_per_element_psum_copy"
        if in_psum(src, dst):
            return "cycles_per_element_16bit_copy_one_psum"
        return "cycles_per_element_16bit_copy" if _dense(src, dst) else "cycles_per_element_16bit_copy_strided"
    if in_psum(src, dst):
        return "cycles_per_element_psum_copy"
    if src.dtype in _HALF and dst.dtype == "float32":
        return "cycles_per_element_bf16_to_fp32_copy"
    eight_bit = "cycles_per_element_8bit_float_copy"  # NeuronCore-v4 streams them as it does 16-bit floats
    if eight_bit in use.chip.cost.vector and all(t.dtype.startswith("float8") for t in (src, dst)):
        return eight_bit
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
        dense = _dense(src, dst)
        return "cycles_per_element_16bit_tensor_scalar" if dense else "cycles_per_element_16bit_tensor_scalar_strided"
    return "cycles_per_element_psum_copy" if in_psum(src, dst) else "cycles_per_element_fp32_tensor_scalar"


def scalar_rate(use: Use, src: Tile, dst: Tile) -> str:
    """The entry of `cost.scalar` for a copy or tensor_scalar: NeuronCore-v4 streams 16-bit floats faster."""
    quick = "cycles_per_element_16bit"
    return quick if quick in use.chip.cost.scalar and {src.dtype, dst.dtype} <= set(_HALF) else "cycles_per_element"
