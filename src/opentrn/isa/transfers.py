"""What the DMA instructions share: who triggers a transfer, in how many pieces it moves, what it costs.

Numbers and rules come from the published traces of allenkchau/trainium-kernel-fusion and AWS's DMA pages; each is in the
chip's table with its source.
"""

from __future__ import annotations

from math import prod
from typing import Any, Literal

from opentrn.isa.costs import addressed, tiers_of
from opentrn.isa.enums import MemoryRegion, dge_mode, engine
from opentrn.isa.spec import Cost, Transfer, Use

__all__ = ["contiguous_bytes", "dma_cost", "gathers", "pieces", "trigger"]

Mode = Literal["none", "hwdge", "swdge"]


def gathers(*tiles: Any) -> bool:
    """True when one of the views has a vector of row indices: software writes the descriptors (nki-dge.rst)."""
    return any(tile.dynamic is not None and tile.dynamic.kind == "vector" for tile in tiles)


def trigger(use: Use, dst: Any, *srcs: Any) -> tuple[str, Mode]:
    """(engine, mode): who triggers a transfer and who writes its descriptors.

    What is not asked for is chosen as the compiler does it in every public profile (the traces named above;
    nki/img/how-to/v2-zoom.png to v5-zoom.png): arguments and results of a kernel are moved by GpSimd (software DGE),
    tensors of its own are loaded by SyncE and stored by ScalarE (hardware DGE). Without hardware DGE SyncE triggers
    descriptors that were built ahead.
    """
    mode = _mode(use, dst, *srcs)
    if mode == "swdge":
        return "gpsimd", mode
    if use.engine not in (engine.dma, engine.unknown):
        return use.engine.name, mode
    return "scalar" if mode == "hwdge" and dst.buffer.is_hbm else "sync", mode


def _mode(use: Use, dst: Any, *srcs: Any) -> Mode:
    asked = use.values.get("dge_mode", dge_mode.unknown)
    if asked is not dge_mode.unknown:
        return asked.name
    if gathers(dst, *srcs) or use.engine is engine.gpsimd:
        return "swdge"
    if use.chip.nc_version < 3 or use.engine in (engine.vector, engine.tensor):
        return "none"
    # arguments and results are in shared_hbm, a kernel's own tensors in private_hbm
    external = any(t.buffer is MemoryRegion.shared_hbm for t in (dst, *srcs)) and use.engine is not engine.sync
    return "swdge" if external and use.engine is not engine.scalar else "hwdge"


def contiguous_bytes(tile: Any) -> int:
    """Bytes of one contiguous run of a view; on chip a run ends with its partition, gathered rows with their row."""
    first = 1 if tile.buffer.on_chip or gathers(tile) else 0
    run = 1
    for size, stride in zip(reversed(tile.shape[first:]), reversed(tile.strides[first:]), strict=True):
        if size != 1 and stride != run:
            break
        run *= size
    return run * tile.dt.itemsize


def pieces(use: Use, dst: Any, src: Any) -> int:
    """Descriptors of a copy: one for each run that is contiguous on both sides, at most 64 KiB each."""
    sides = [(contiguous_bytes(t) // t.dt.itemsize, t.dt.itemsize) for t in (dst, src)]
    elements = min(run for run, _ in sides)
    most = use.chip.engines.dma.descriptor_bytes_max // max(size for _, size in sides)
    return prod(dst.shape) // elements * -(-elements // most)


def dma_cost(use: Use, dst: Any, srcs: tuple[Any, ...], descriptors: int, rate: str | None = None) -> Cost:
    """The bytes of `srcs` in `descriptors` pieces to `dst`; `rate` names a fraction of the engines' rate.

    Where the two sides differ in element size the larger one counts. Whether HBM is read decides the times around it.
    """
    table, (by, mode) = use.chip.cost.dma, trigger(use, dst, *srcs)
    store = "" if any(tile.buffer.is_hbm for tile in srcs) else "store_"
    busy, first, names = _issue(use, by, mode, store, dst, *srcs)
    engines = min(descriptors, _engines(use, dst, *srcs))
    stagger, waits = _stagger(use, store, engines)
    names += [f"{store}complete_ns", "descriptor_ns", "bytes_per_ns_per_engine", *waits, *([rate] if rate else [])]
    move = Transfer(
        nbytes=sum(prod(s.shape) * max(s.dt.itemsize, dst.dt.itemsize) for s in srcs),
        descriptors=descriptors,
        engines=engines,
        descriptor_ns=table.descriptor_ns,
        bytes_per_ns=table.bytes_per_ns_per_engine * (table[rate] if rate else 1),
        first_byte_ns=first,
        complete_ns=table[f"{store}complete_ns"],
        stagger_ns=stagger,
        generated=mode,
        generate_ns=busy if mode == "swdge" else 0.0,
    )
    latency = first - busy + move.work_ns + move.stagger_ns + move.complete_ns
    tiers = tiers_of(use, *(name if "." in name else f"dma.{name}" for name in names))
    return addressed(use, Cost(by, busy, latency, tiers, transfer=move))


def _engines(use: Use, *tiles: Any) -> int:
    """DMA engines that take part: each serves its own partitions of SBUF (nki-dma-overview.rst, Example 1)."""
    engines = use.chip.engines.dma.engines
    lanes = use.chip.memory.partitions // engines
    spans = [
        (tile.start_partition + tile.partitions - 1) // lanes - tile.start_partition // lanes + 1
        for tile in tiles
        if tile.buffer.on_chip
    ]
    return max(spans, default=engines)


def _stagger(use: Use, store: str, engines: int) -> tuple[float, list[str]]:
    """(ns that the last byte is late because the engines begin one after another, names of the numbers)."""
    table = use.chip.cost.dma
    if store:
        return (engines - 1) * table.store_stagger_ns, ["store_stagger_ns"]
    return table.load_latency_ns + (engines - 1) * table.load_stagger_ns, ["load_latency_ns", "load_stagger_ns"]


def _issue(use: Use, by: str, mode: Mode, store: str, *tiles: Any) -> tuple[float, float, list[str]]:
    """(ns that the triggering engine is held, ns from the trigger to the first byte, names of the numbers)."""
    table = use.chip.cost.dma
    if mode == "none":
        first = f"static_{store}first_descriptor_ns"
        return table.static_trigger_ns, table[first], ["static_trigger_ns", first]
    if mode == "hwdge":
        first = f"{store}first_byte_ns"
        return table.issue_ns, table.issue_ns + table[first], ["issue_ns", first]
    gpsimd, first = use.chip.cost.gpsimd, f"swdge_{store}first_byte_ns"
    rows = max((tile.shape[0] for tile in tiles if gathers(tile)), default=1)
    busy = gpsimd.swdge_command_ns * -(-rows // gpsimd.swdge_indices_per_command)
    return busy, table.swdge_lead_ns + table[first], ["gpsimd.swdge_command_ns", "swdge_lead_ns", first]
