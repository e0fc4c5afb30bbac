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

QUADRANT = 32
KEEP = 255


@instruction(
    operands={"dst": into(role="inout"), "src": of()},
    attributes={"shuffle_mask": a.integers},
    engines=(enums.engine.vector,),
    page="nki.isa.nc_stream_shuffle (SDK 2.32)",
)
def nc_stream_shuffle(dst, src, shuffle_mask, name=None):
    """Copy partition ``shuffle_mask[i]`` of each 32-partition quadrant of ``src`` to partition i of ``dst``'s quadrant.

    The mask has 32 entries and serves every quadrant; 255 leaves the output partition as it is. Bits are copied.
    """


@nc_stream_shuffle.rule("c1", "documented", "src and dst have one data type")
def _(use: Use) -> None:
    same_dtype(use.src, use.dst)


@nc_stream_shuffle.rule("c2", "documented", "src and dst have the same number of elements per partition")
def _(use: Use) -> None:
    same_elements(use.src, use.dst)


@nc_stream_shuffle.rule("c3", "documented", "the mask has 32 entries, each 0 to 31, or 255")
def _(use: Use) -> None:
    if len(use.shuffle_mask) != QUADRANT or any(not (0 <= m < QUADRANT or m == KEEP) for m in use.shuffle_mask):
        raise Broken(f"{len(use.shuffle_mask)} entries {use.shuffle_mask}"[:120], "32 entries of 0..31 or 255")


@nc_stream_shuffle.rule(
    "c4", "documented", "start partitions: 0 for 96 or 128 active partitions, 0/64 for 64, any quadrant for 32"
)
def _(use: Use) -> None:
    active = -(-max(use.src.partitions, use.dst.partitions) // QUADRANT) * QUADRANT
    step = 128 if active > 64 else active
    for name, tile in (("src", use.src), ("dst", use.dst)):
        if tile.start_partition % step:
            raise Broken(
                f"{name} starts at {tile.start_partition} with {active} active partitions", f"a multiple of {step}"
            )


@nc_stream_shuffle.rule("c5", "inferred", "the mask reads only partitions that src has")
def _(use: Use) -> None:
    for row in range(use.dst.partitions):
        source = use.shuffle_mask[row % QUADRANT]
        if source != KEEP and row // QUADRANT * QUADRANT + source >= use.src.partitions:
            raise Broken(
                f"output partition {row} reads partition {row // QUADRANT * QUADRANT + source} of {use.src.partitions}",
                "mask entries within src",
                "255 leaves a partition alone",
            )


@nc_stream_shuffle.meaning
def _(use: Use) -> None:
    rows = np.arange(use.dst.partitions)
    mask = np.array(use.shuffle_mask)[rows % QUADRANT]
    moved = np.broadcast_to((mask != KEEP)[:, None], (use.dst.partitions, use.dst.elements))
    source = np.where(mask != KEEP, rows // QUADRANT * QUADRANT + mask, 0)
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
