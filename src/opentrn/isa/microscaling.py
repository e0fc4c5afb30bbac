"""Where MX scales sit: one for 8 partitions x 4 elements, in the quadrant of 32 partitions that the data are in.

Scale row of data partition p: ``32 * (p // 32) + (p % 32) // 8``, counted from the first partition of the scale view,
which may begin at 0, 4, 8 or 12 of its quadrant (mxfp-matmul.rst and nisa.nc_matmul_mx, SDK 2.32).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from opentrn.isa.spec import Broken
from opentrn.numerics import mx

__all__ = ["QUADRANT", "SCALES", "X4", "dequantised", "enough_scales", "scale_rows", "whole_quadrants"]

QUADRANT = 32
X4 = frozenset({"float8_e5m2_x4", "float8_e4m3fn_x4", "float4_e2m1fn_x4"})
SCALES = frozenset({"float8_e8m0fnu", "uint8"})


def scale_rows(partitions: int) -> np.ndarray:
    """Rows of the scale view that belong to `partitions` of data, in order: 4 in each quadrant."""
    groups = np.arange(partitions // 8)
    return QUADRANT * (groups // 4) + groups % 4


def whole_quadrants(tile: Any) -> None:
    """The partitions are a multiple of 32."""
    if tile.partitions % QUADRANT:
        raise Broken(f"{tile.partitions} partitions", "a multiple of 32")


def enough_scales(scale: Any, data: Any, columns: int) -> None:
    """The scale view reaches the last group of `data`, starts at 0, 4, 8 or 12 of a quadrant, and has its columns."""
    rows = int(scale_rows(data.partitions)[-1]) + 1
    if scale.partitions < rows or scale.elements != columns:
        raise Broken(
            f"scale {scale.shape} for data of {data.partitions} partitions", f"at least {rows} rows of {columns}"
        )
    if scale.start_partition % QUADRANT not in (0, 4, 8, 12):
        raise Broken(f"scale starts at partition {scale.start_partition}", "0, 4, 8 or 12 of a quadrant")


def dequantised(data: Any, scale: Any) -> np.ndarray:
    """(4 K, F) float32 values of a (K, F) packed tile with its scales; the four of an element follow K."""
    kind = data.held
    values = mx.unpack_f32(data.raw(), kind).reshape(data.partitions, -1, 4)
    rows = scale_rows(data.partitions)
    # only the rows that hold scales are read: the rest of the view need not be written
    codes = np.concatenate([type(scale)(scale.view[int(r) : int(r) + 1], scale.name, scale.core).raw() for r in rows])
    factors = np.repeat(mx.scale_values(codes.view(np.uint8)), 8, 0)
    return (values * factors[:, :, None]).transpose(0, 2, 1).reshape(data.partitions * 4, -1)
