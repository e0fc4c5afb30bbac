"""k-means assignment: the nearest centroid of each point, without the matrix of distances in HBM.

Source of the schedule: FlashML-org/flashlib (efe79726) flashlib/primitives/kmeans/nki/assign_kernel.py, the single-core path.
The source leaves the engine of its small comparisons open. The published time, 1.91 us for 128 points and 512 centroids, is
that of three passes over 512 elements on VectorE, so they are on GpSimd here.
"""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.validation.kernels.tiles import COLUMNS, ROWS, Stores, load, product, sbuf

__all__ = ["assign"]

VECTOR, GPSIMD = nisa.vector_engine, nisa.gpsimd_engine


def assign(points: Any, centroids: Any, squares: Any) -> Any:
    """points (D, N), centroids (D, K), squares (1, K) float32 -> (N, 1) int32, the index of the nearest centroid.

    The centroids stay in SBUF; 128 points at a time meet 512 centroids at a time. What is maximised is
    2 x.c - |c|^2, with the best value and index carried along.
    """
    (depth, count), total = points.shape, centroids.shape[1]
    out = nl.ndarray((count, 1), dtype=nl.int32, buffer=nl.shared_hbm)
    near = [load(centroids[d : d + ROWS, :]) for d in range(0, depth, ROWS)]
    lengths = sbuf((ROWS, total), squares.dtype)
    nisa.dma_copy(dst=lengths, src=squares.broadcast(0, ROWS))
    stores = Stores()
    for n in range(0, count, ROWS):
        tiles = [load(points[d : d + ROWS, n : n + ROWS]) for d in range(0, depth, ROWS)]
        best, index = sbuf((ROWS, 1), nl.float32), sbuf((ROWS, 1), nl.int32)
        nisa.memset(dst=best, value=-3.0e38, engine=VECTOR)
        nisa.memset(dst=index, value=0, engine=VECTOR)
        for k in range(0, total, COLUMNS):
            part = slice(k, k + COLUMNS)
            _improve(best, index, product(tiles, [each[:, part] for each in near]), (lengths[:, part], k))
        stores.add(out[n : n + ROWS, :], index)
    stores.finish()
    return out


def _improve(best: Any, index: Any, products: Any, chunk: tuple[Any, int]) -> None:
    """Keep the better of the best so far and the best of this chunk: (its squared lengths, its first index)."""
    lengths, first = chunk
    score = sbuf((ROWS, COLUMNS), nl.float32)
    nisa.scalar_tensor_tensor(
        dst=score, data=products, op0=nl.multiply, operand0=2.0, op1=nl.subtract, operand1=lengths
    )
    top, where = sbuf((ROWS, 8), nl.float32), sbuf((ROWS, 8), nl.uint32)
    nisa.max8(dst=top, src=score)
    nisa.nc_find_index8(dst=where, data=score, vals=top)
    here, better = sbuf((ROWS, 1), nl.int32), sbuf((ROWS, 1), nl.uint8)
    nisa.tensor_scalar(dst=here, data=where[:, 0:1], op0=nl.add, operand0=first, engine=GPSIMD)
    nisa.tensor_tensor(dst=better, data1=top[:, 0:1], data2=best, op=nl.greater, engine=GPSIMD)
    nisa.tensor_copy_predicated(dst=index, src=here, predicate=better)
    nisa.tensor_tensor(dst=best, data1=top[:, 0:1], data2=best, op=nl.maximum, engine=GPSIMD)
