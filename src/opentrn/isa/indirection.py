"""Where the indices of tensor indirection have to sit when tensors are placed by hand.

Sources: "Tensor indirection" of nisa.activation, nisa.nc_matmul, nisa.tensor_copy and their like (SDK 2.32). Tensors without an
address are the allocator's to place, so these conditions then hold by construction.
"""

from __future__ import annotations

from typing import Any

from opentrn.isa.enums import MemoryRegion
from opentrn.isa.spec import Broken, Tile

__all__ = ["index_of", "indices_beside", "indices_beside_operands", "scatter_places"]

QUADRANT = 32


def index_of(tile: Tile) -> Any:
    """The index of a view made by `.indirect()`, else None."""
    return tile.dynamic.index if tile.dynamic is not None and tile.dynamic.kind == "tensor" else None


def indices_start_on_quadrants(*tiles: Tile) -> None:
    """Every hand-placed index starts at a multiple of 32 partitions."""
    for tile in tiles:
        index = index_of(tile)
        if index is not None and index.storage.allocation.manual and index.start_partition % QUADRANT:
            raise Broken(f"an index that starts at partition {index.start_partition}", f"a multiple of {QUADRANT}")


def same_start(first: Any, second: Any, what: str) -> None:
    """Two hand-placed tensors start on one partition."""
    placed = first.storage.allocation.manual and second.storage.allocation.manual
    if placed and first.start_partition != second.start_partition:
        raise Broken(
            f"{what} start at partitions {first.start_partition} and {second.start_partition}", "one partition"
        )


def indices_beside(dst: Tile, data: Tile) -> None:
    """Indices start on quadrants, that of `data` where `data` starts, that of `dst` beside what lies in SBUF of `data`."""
    indices_start_on_quadrants(dst, data)
    to, source = index_of(dst), index_of(data)
    if source is not None:
        same_start(data, source, "an operand and its index")
    beside = data if data.buffer is MemoryRegion.sbuf else source
    if to is not None and beside is not None:
        same_start(to, beside, "dst's index and the input (or its index)")


def indices_beside_operands(dst: Tile, stationary: Tile, moving: Tile) -> None:
    """The Tensor Engine's conditions: indices start on quadrants, each beside its operand, dst's beside stationary."""
    indices_start_on_quadrants(dst, stationary, moving)
    for operand in (stationary, moving):
        if index_of(operand) is not None:
            same_start(operand, index_of(operand), "an operand and its index")
    if index_of(dst) is not None:
        same_start(index_of(dst), stationary, "dst's index and stationary")


def scatter_places(dst: Tile, data: Tile) -> None:
    """The Scalar Engine's conditions on an indirect `dst` or `data`: also no scatter into PSUM."""
    if index_of(dst) is not None and dst.buffer is MemoryRegion.psum:
        raise Broken("an indirect dst in PSUM", "an indirect dst in SBUF")
    indices_beside(dst, data)
