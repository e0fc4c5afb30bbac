"""Where the indices of tensor indirection sit on the Vector and GpSimd Engines, when tensors are placed by hand."""

from __future__ import annotations

from opentrn.isa.enums import MemoryRegion
from opentrn.isa.indirection import index_of, indices_start_on_quadrants, same_start
from opentrn.isa.spec import Tile

__all__ = ["indices_beside"]


def indices_beside(dst: Tile, data: Tile) -> None:
    """Indices start on quadrants, that of `data` where `data` starts, that of `dst` beside what lies in SBUF of `data`.

    "Tensor indirection" of nisa.tensor_copy, tensor_tensor, tensor_scalar, tensor_copy_predicated (SDK 2.32).
    """
    indices_start_on_quadrants(dst, data)
    to, source = index_of(dst), index_of(data)
    if source is not None:
        same_start(data, source, "an operand and its index")
    beside = data if data.buffer is MemoryRegion.sbuf else source
    if to is not None and beside is not None:
        same_start(to, beside, "dst's index and the input (or its index)")
