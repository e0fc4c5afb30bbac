"""nc_stream_shuffle: move partitions within each quadrant of 32."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import vector_cost
from opentrn.isa.rules import same_dtype, same_elements
from opentrn.isa.spec import Broken, Cost, Use, instruction, into, of


@instruction(
    operands={"dst": into(role="inout"), "src": of()},
    attributes={"shuffle_mask": a.integers},
    engines=(enums.engine.vector,),
    page="nki.isa.nc_stream_shuffle (SDK 2.32)",
)
def nc_stream_shuffle(dst, src, shuffle_mask, name=None):
    """Copy partition ``shuffle_mask[i]`` of each 32-partition quadrant of ``src`` to partition i of ``dst``'s quadrant.

    The mask has 32 entries and serves every quadrant; 255 leaves the output partition as it is. Bits are copied; both
    tiles have one dtype and equally many elements per partition, and may be the same tile. Partitions of ``src`` that
    the mask does not name need not be written. Runs on the Vector Engine.
    """


def _sources(use: Use) -> np.ndarray:
    """For each partition of dst the partition of src that it copies; -1 where it stays."""
    limits, rows = use.chip.limits, np.arange(use.dst.partitions)
    quadrant = limits.shuffle_mask_length
    mask = np.array(use.shuffle_mask)[rows % quadrant]
    return np.where(mask == limits.shuffle_mask_keep, -1, rows // quadrant * quadrant + mask)


@nc_stream_shuffle.rule("c1", "documented", "src and dst have one data type")
def _(use: Use) -> None:
    same_dtype(use.src, use.dst)


@nc_stream_shuffle.rule("c2", "documented", "src and dst have the same number of elements per partition")
def _(use: Use) -> None:
    same_elements(use.src, use.dst)


@nc_stream_shuffle.rule("c3", "documented", "the mask has 32 entries, each 0 to 31, or 255")
def _(use: Use) -> None:
    size, keep, mask = use.chip.limits.shuffle_mask_length, use.chip.limits.shuffle_mask_keep, use.shuffle_mask
    bad = [m for m in mask if not 0 <= m < size and m != keep]
    if bad or len(mask) != size:
        raise Broken(f"{len(mask)} entries, out of range: {bad}", f"{size} entries of 0..{size - 1} or {keep}")


@nc_stream_shuffle.rule("c4", "documented", "both start at 0 with 96 or 128 active partitions, 0/64 with 64")
def _(use: Use) -> None:
    # the larger of the two tiles decides for both: stricter than what holds for each tile alone
    limits = use.chip.limits
    active = -(-max(use.src.partitions, use.dst.partitions) // limits.shuffle_mask_length) * limits.shuffle_mask_length
    starts = limits[f"shuffle_start_partitions_{'96_or_128' if active > 64 else active}"]
    for name, tile in (("src", use.src), ("dst", use.dst)):
        if tile.start_partition not in starts:
            got = f"{name} starts at {tile.start_partition} with {active} active partitions"
            raise Broken(got, f"a start of {', '.join(map(str, starts))}")


@nc_stream_shuffle.rule("c5", "inferred", "the mask reads only partitions that src has")
def _(use: Use) -> None:
    source = _sources(use)
    row = int(source.argmax())
    if source[row] >= use.src.partitions:
        got = f"output partition {row} reads partition {source[row]} of {use.src.partitions}"
        raise Broken(got, "mask entries within src", f"{use.chip.limits.shuffle_mask_keep} leaves a partition alone")


@nc_stream_shuffle.meaning
def _(use: Use) -> None:
    source = _sources(use)
    moved = np.broadcast_to((source >= 0)[:, None], (use.dst.partitions, use.dst.elements))
    values, written = use.src.moved()
    use.dst.put(values.reshape(use.src.partitions, -1)[source], moved)
    if written is not None:
        use.dst.forget(moved & ~written.reshape(use.src.partitions, -1)[source])


@nc_stream_shuffle.cost
def _(use: Use) -> Cost:
    return vector_cost(use, use.src.elements, "cycles_per_element_stream_shuffle")


@nc_stream_shuffle.shown
def _(m: SimpleNamespace) -> Any:
    def broadcast_first(x: Any) -> Any:
        tile = m.nl.load(x)
        m.nisa.nc_stream_shuffle(dst=tile, src=tile, shuffle_mask=[0] * 32)
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return broadcast_first, (m.np.arange(256, dtype=m.np.float32).reshape(32, 8),)
