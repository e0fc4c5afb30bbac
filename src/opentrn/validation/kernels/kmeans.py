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
    stores, following = Stores(), _points(points, 0)
    for n in range(0, count, ROWS):
        tiles, following = following, _points(points, n + ROWS) if n + ROWS < count else []
        best, index = sbuf((ROWS, 1), nl.float32), sbuf((ROWS, 1), nl.int32)
        nisa.memset(dst=best, value=-3.0e38, engine=VECTOR)
        nisa.memset(dst=index, value=0, engine=VECTOR)
        chunks = [
            _Chunk(tiles, [each[:, k : k + COLUMNS] for each in near], lengths, k) for k in range(0, total, COLUMNS)
        ]
        for turn in range(len(chunks) + 3):
            _advance(chunks, turn, best, index)
        stores.add(out[n : n + ROWS, :], index)
    stores.finish()
    return out


def _points(points: Any, first: int) -> list[Any]:
    """The tiles of 128 points; they are loaded while VectorE is busy with the points before them."""
    return [load(points[d : d + ROWS, first : first + ROWS]) for d in range(0, points.shape[0], ROWS)]


def _advance(chunks: list[_Chunk], turn: int, best: Any, index: Any) -> None:
    """One stage of each of the four chunks that are under way at `turn`."""
    for stage, do in enumerate((_Chunk.score, _Chunk.top, _Chunk.place)):
        if 0 <= turn - stage < len(chunks):
            do(chunks[turn - stage])
    if turn >= 3:
        chunks[turn - 3].keep(best, index)


class _Chunk(nl.NKIObject):
    """The points of a tile against one chunk of centroids, in four stages.

    Each stage waits for the one before it, so the stages of neighbouring chunks are interleaved, as a scheduler does it.
    """

    def __init__(self, points: list[Any], centroids: list[Any], lengths: Any, first: int) -> None:
        self.points, self.centroids, self.first = points, centroids, first
        self.lengths = lengths[:, first : first + COLUMNS]

    def score(self) -> None:
        self.scores, total = sbuf((ROWS, COLUMNS), nl.float32), product(self.points, self.centroids)
        nisa.scalar_tensor_tensor(
            dst=self.scores, data=total, op0=nl.multiply, operand0=2.0, op1=nl.subtract, operand1=self.lengths
        )

    def top(self) -> None:
        self.best = sbuf((ROWS, 8), nl.float32)
        nisa.max8(dst=self.best, src=self.scores)

    def place(self) -> None:
        self.where = sbuf((ROWS, 8), nl.uint32)
        nisa.nc_find_index8(dst=self.where, data=self.scores, vals=self.best)

    def keep(self, best: Any, index: Any) -> None:
        """Replace the best so far and its index where this chunk is better."""
        better, here = sbuf((ROWS, 1), nl.uint8), sbuf((ROWS, 1), nl.int32)
        nisa.tensor_scalar(dst=here, data=self.where[:, 0:1], op0=nl.add, operand0=self.first, engine=VECTOR)
        nisa.tensor_tensor(dst=better, data1=self.best[:, 0:1], data2=best, op=nl.greater, engine=GPSIMD)
        nisa.tensor_copy_predicated(dst=index, src=here, predicate=better)
        nisa.tensor_tensor(dst=best, data1=self.best[:, 0:1], data2=best, op=nl.maximum, engine=GPSIMD)
