"""Conditions that many instructions share. Each raises `Broken`; an instruction's rules call them by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentrn.isa.enums import MemoryRegion, engine
from opentrn.isa.spec import Broken, Tile, Use

__all__ = [
    "bits_of", "column", "common", "cure", "integers_only", "not_both_psum", "same_dtype", "same_elements", "same_partitions",
    "same_tile",
]  # fmt: skip


def _is_tile(x: Any) -> bool:
    return hasattr(x, "shape") and hasattr(x, "dtype")


def same_partitions(first: Tile, *others: Tile) -> None:
    """All operands touch equally many partitions."""
    for other in others:
        if _is_tile(other) and other.partitions != first.partitions:
            raise Broken(
                f"{first.partitions} and {other.partitions} partitions (shapes {first.shape} and {other.shape})",
                "the same number of partitions",
                "the first dimension is the partition: slice one operand, or transpose it (nisa.nc_transpose)",
            )


def same_elements(first: Tile, *others: Tile) -> None:
    """All operands have equally many elements per partition (ranks may differ)."""
    for other in others:
        if _is_tile(other) and other.elements != first.elements:
            raise Broken(
                f"{first.elements} and {other.elements} elements per partition (shapes {first.shape} and {other.shape})",
                "the same number of elements per partition",
            )


def same_tile(first: Tile, *others: Tile) -> None:
    """Equally many partitions and elements per partition."""
    same_partitions(first, *others)
    same_elements(first, *others)


def same_dtype(first: Tile, *others: Tile) -> None:
    """One data type."""
    for other in others:
        if other.dtype != first.dtype:
            raise Broken(f"{first.dtype} and {other.dtype}", "one data type")


def column(vector: Any, data: Tile) -> None:
    """A number, or one element for each partition of `data`."""
    if _is_tile(vector) and (vector.partitions != data.partitions or vector.elements != 1):
        raise Broken(f"shape {vector.shape}", f"a number or a tile of shape ({data.partitions}, 1)")


def not_both_psum(a: Any, b: Any) -> None:
    """At most one of two inputs in PSUM (one PSUM read port per instruction)."""
    if _is_tile(a) and _is_tile(b) and a.buffer is b.buffer is MemoryRegion.psum:
        raise Broken("both in PSUM", "at most one of them in PSUM", "copy one to SBUF first (nisa.tensor_copy)")


def integers_only(*tiles: Any) -> None:
    """Integer dtypes, as bitvec operators need."""
    for tile in tiles:
        if _is_tile(tile) and not (tile.dt.is_integer or tile.dt.kind == "bool"):
            raise Broken(tile.dtype, "an integer dtype (bitvec operators work on bit patterns)")


def bits_of(tile: Tile) -> int:
    """Bits of one element."""
    return tile.dt.itemsize * 8


def _memory(use: Use) -> Iterable[tuple[str, str, Any]]:
    for name, tile in use.tensors():
        allowed = use.instruction.operand(name).memory
        if tile.buffer not in allowed:
            yield f"{name}.memory", tile.buffer.value, " or ".join(sorted({_public(m) for m in allowed}))


def _public(region: MemoryRegion) -> str:
    return "hbm" if region.is_hbm else region.value


def _dtypes(use: Use) -> Iterable[tuple[str, str, Any]]:
    for name, tile in use.tensors():
        allowed = use.instruction.operand(name).dtypes
        if allowed is not None and tile.dtype not in allowed:
            yield f"{name}.dtype", tile.dtype, ", ".join(sorted(allowed))


def _extent(use: Use) -> Iterable[tuple[str, str, Any]]:
    """Partition count and start of compute operands (DMA addresses bytes freely).

    Start partitions: trainium_inferentia2_arch.rst, "Data movement", lines 711-713 (SDK 2.32).
    """
    pmax = use.chip.limits.pmax
    compute = engine.dma not in use.instruction.engines
    for name, tile in use.tensors():
        if 0 in tile.shape:
            yield f"{name}.size", f"shape {tile.shape}", "at least one element"
        if not tile.buffer.on_chip:
            continue
        if tile.partitions > pmax:
            yield f"{name}.partitions", f"{tile.partitions} partitions", f"at most {pmax}"
        own = use.instruction.operand(name).start
        step = own or (128 if tile.partitions > 64 else 64 if tile.partitions > 32 else 32)
        if compute and tile.start_partition % step:
            starts = ", ".join(str(p) for p in range(0, 128, step))
            yield f"{name}.start", f"{tile.partitions} partitions from {tile.start_partition}", f"a start of {starts}"


def _indirection(use: Use) -> Iterable[tuple[str, str, Any]]:
    for name, tile in use.tensors():
        if tile.dynamic is None:
            continue
        operand = use.instruction.operand(name)
        if tile.dynamic.kind == "outside":
            low, high = tile.dynamic.index
            tensor = tile.storage.allocation
            yield f"{name}.extent", f"elements {low} to {high}", f"within 0 to {tile.dynamic.limit - 1} ({tensor})"
        elif tile.dynamic.kind == "tensor":
            if not operand.indirect:
                yield f"{name}.indirect", "a view made by .indirect()", "a plain view for this operand"
            elif use.chip.nc_version < 4:
                yield f"{name}.indirect", f"tensor indirection on {use.chip.name}", "trn3 (NeuronCore-v4) or newer"
        elif not operand.dynamic:
            yield f"{name}.dynamic", "a run-time address", "a compile-time address for this operand"
        elif tile.dynamic.kind == "vector" and engine.dma not in use.instruction.engines:
            yield f"{name}.dynamic", "a vector_offset", "vector_offset only on DMA instructions"


def cure(fact: str, got: str, expected: str) -> str | None:
    """What helps when a condition of `common` is broken; None where expected says it."""
    if fact == "start":
        return "nisa.dma_copy moves data between any partitions"
    if fact != "memory":
        return None
    if "hbm" in got:
        return "bring it on the chip first (nisa.dma_copy or nl.load)"
    if expected == "psum":
        return "make it with buffer=nl.psum; nisa.tensor_copy moves it to SBUF"
    return "nisa.tensor_copy moves values between SBUF and PSUM, nisa.dma_copy from and to HBM"


def common(use: Use) -> Iterable[tuple[str, str, str]]:
    """Conditions that follow from the operand table alone: (label, got, expected) for each that is broken."""
    if use.chip.nc_version < use.instruction.since:
        expected = f"NeuronCore-v{use.instruction.since} (trn{use.instruction.since - 1}) or newer"
        yield "target", f"{use.chip.name} (NeuronCore-v{use.chip.nc_version})", expected
    yield from _memory(use)
    yield from _dtypes(use)
    yield from _extent(use)
    yield from _indirection(use)
