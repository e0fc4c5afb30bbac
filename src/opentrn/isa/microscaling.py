"""Where MX scales sit: one for 8 partitions x 4 elements, in the quadrant of 32 partitions that the data are in.

Scale row of data partition p: ``32 * (p // 32) + (p % 32) // 8``, counted from the first partition of the scale view,
which may begin at 0, 4, 8 or 12 of its quadrant (mxfp-matmul.rst and nisa.nc_matmul_mx, SDK 2.32).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from opentrn.errors import KernelError
from opentrn.isa.indirection import index_of
from opentrn.isa.spec import Broken
from opentrn.numerics import mx
from opentrn.numerics.casts import to_f32

__all__ = ["QUADRANT", "SCALES", "X4", "dequantised", "enough_scales", "scale_rows", "store_scales", "whole_quadrants"]

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
    """The scale view reaches the last group of `data`, has its columns, and begins at 0, 4, 8 or 12 of its quadrant."""
    rows = int(scale_rows(data.partitions)[-1]) + 1
    if scale.partitions < rows or scale.elements != columns:
        raise Broken(
            f"scale {scale.shape} for data of {data.partitions} partitions", f"at least {rows} rows of {columns}"
        )
    if scale.start_partition % QUADRANT not in (0, 4, 8, 12):
        raise Broken(f"scale starts at partition {scale.start_partition}", "0, 4, 8 or 12 of a quadrant")
    if scale.start_partition // QUADRANT != data.start_partition // QUADRANT:
        raise Broken(
            f"scale from partition {scale.start_partition}, data from {data.start_partition}", "one quadrant for both"
        )


def _codes(scale: Any, rows: np.ndarray) -> np.ndarray:
    """The rows of a scale view that hold scales. The rows between need not be written."""
    if scale.dynamic is None:
        starts = rows[rows % QUADRANT == 0].tolist()
        quads = [type(scale)(scale.view[start : start + 4], scale.name, scale.core).raw() for start in starts]
        return np.concatenate(quads)
    places = scale.where()
    if not places.valid[rows].all() or places.unwritten()[rows].any():
        return scale.raw()[rows]  # raises
    return np.asarray(places.gather()[rows])


def _factors(scale: Any, rows: np.ndarray) -> np.ndarray:
    """(groups of 8 partitions, columns) float32 scales."""
    codes = _codes(scale, rows)
    return mx.scale_values(codes) if scale.dtype == "uint8" else to_f32(codes, scale.held)


def dequantised(data: Any, scale: Any) -> np.ndarray:
    """(4 K, F) float32 values of a (K, F) packed tile with its scales; the four of an element follow K.

    Raises KernelError when both are indirect with different indices.
    """
    indices = [type(t)(index_of(t), "index", t.core).raw() for t in (data, scale) if index_of(t) is not None]
    if indices and not np.array_equal(*indices):
        raise KernelError(f"{data.name} and {scale.name} use different indices", expected="the same index for both")
    values = mx.unpack_f32(data.raw(), data.held).reshape(data.partitions, -1, 4)
    factors = np.repeat(_factors(scale, scale_rows(data.partitions)), 8, 0)
    scaled = np.empty((data.partitions, 4, values.shape[1]), np.float32)
    np.multiply(values.transpose(0, 2, 1), factors[:, None], out=scaled)
    return scaled.reshape(data.partitions * 4, -1)


def store_scales(scale: Any, codes: np.ndarray, rows: np.ndarray) -> None:
    """Write uint8 `codes` (len(rows), columns) to those rows of a scale view; its other rows stay as they are."""
    spread = np.zeros((scale.partitions, codes.shape[1]), np.uint8)
    where = np.zeros(spread.shape, bool)
    spread[rows], where[rows] = codes, True
    if scale.dtype == "uint8":
        scale.put(spread, where)
    else:
        scale.store(mx.scale_values(spread), where)
