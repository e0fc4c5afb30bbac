"""Matrix products: the steps of the NKI tutorial, AWS's bf16 ladder, nki-autotune's hand-tuned kernel, and autocomp's search.

Sources of the schedules: `tiled`, `hoisted`, `blocked_free`, `blocked`: aws-neuron-sdk (81ce03ae)
nki/guides/tutorials/kernel-optimization.rst, steps v2 to v5; the same three shapes in aws-neuron/neuron-agentic-development
(c7937320) skills/neuron-nki-profile-querying/references/example-bounds-analysis.md, V0 to V2. `summed_in_sbuf`:
awslabs/nki-autotune (d57bcc3) kernel_library/matmul/lhsT_rhs. `grouped`: ucb-bar/autocomp (dd26a56)
examples/trn-tutorial/1_gemm_trace.py, whose generations differ in these four numbers only.

All take lhs_t (K, M) and rhs (K, N) and give (M, N) in the dtype of lhs_t.
"""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.validation.kernels.tiles import COLUMNS, ROWS, Stores, load, product, psum, sbuf

__all__ = ["blocked", "blocked_free", "grouped", "hoisted", "summed_in_sbuf", "tiled"]


class _Result(nl.NKIObject):
    """The result in HBM, stored tile by tile."""

    def __init__(self, lhs_t: Any, rhs: Any, behind: int = 1) -> None:
        self.out = nl.ndarray((lhs_t.shape[1], rhs.shape[1]), dtype=lhs_t.dtype, buffer=nl.shared_hbm)
        self.stores = Stores(behind)

    def store(self, total: Any, m: int, n: int) -> None:
        """Tile (m, n): PSUM to SBUF, SBUF to HBM."""
        held = sbuf(total.shape, self.out.dtype)
        nisa.tensor_copy(dst=held, src=total, engine=nisa.vector_engine)
        self.add(held, m, n, COLUMNS)

    def add(self, tile: Any, m: int, n: int, width: int) -> None:
        """Tile (m, n) of `width` columns: SBUF to HBM."""
        self.stores.add(_tile(self.out, m, n, width), tile)

    def finished(self) -> Any:
        """The result, with all stores issued."""
        self.stores.finish()
        return self.out


def _tile(source: Any, k: int, column: int, width: int) -> Any:
    return source[k * ROWS : (k + 1) * ROWS, column * width : (column + 1) * width]


def tiled(lhs_t: Any, rhs: Any, keep: int = 1) -> Any:
    """Both tiles are loaded just before each product; a tile of lhs_t serves `keep` tiles of columns.

    `keep` is 1 in the tutorial's source and in its profile; the profile of V0 counts each tile of lhs_t three times for
    eight tiles of columns, so the compiler kept it for three.
    """
    out, (depth, rows), columns = _Result(lhs_t, rhs), lhs_t.shape, rhs.shape[1]
    for m in range(rows // ROWS):
        left: dict[int, Any] = {}
        for n in range(columns // COLUMNS):
            total = psum((ROWS, COLUMNS))
            for k in range(depth // ROWS):
                if n % keep == 0:
                    left[k] = load(_tile(lhs_t, k, m, ROWS))
                right = load(_tile(rhs, k, n, COLUMNS))
                nisa.nc_matmul(dst=total, stationary=left[k], moving=right)
            out.store(total, m, n)
    return out.finished()


def hoisted(lhs_t: Any, rhs: Any) -> Any:
    """The tiles of a row of results are loaded once, those of a column of results once for each row."""
    out, (depth, rows), columns = _Result(lhs_t, rhs), lhs_t.shape, rhs.shape[1]
    for m in range(rows // ROWS):
        left = [load(_tile(lhs_t, k, m, ROWS)) for k in range(depth // ROWS)]
        for n in range(columns // COLUMNS):
            right = [load(_tile(rhs, k, n, COLUMNS)) for k in range(depth // ROWS)]
            out.store(product(left, right), m, n)
    return out.finished()


def blocked_free(lhs_t: Any, rhs: Any, block_rows: int = 2, block_columns: int = 2, form: str = "tiles") -> Any:
    """Blocks of `block_rows` x `block_columns` tiles of the result share their loads.

    `form` is "tiles" (each tile has its own DMA), "wide" (one DMA brings the rows of a whole block), or "again": tiles of
    rhs are loaded for each tile of the result. The last is what the profile of step v4 shows (8.66 GB moved): its block of
    rhs, 256 KiB per partition, does not fit into SBUF.
    """
    rows, columns = lhs_t.shape[1], rhs.shape[1]
    out = _Result(lhs_t, rhs, behind=block_rows * block_columns)  # the next block's loads come before this one's stores
    for m in range(rows // ROWS // block_rows):
        left = _block(lhs_t, m, block_rows, ROWS, form == "wide")
        for n in range(columns // COLUMNS // block_columns):
            right = [] if form == "again" else _block(rhs, n, block_columns, COLUMNS, form == "wide")
            for i in range(block_rows):
                for j in range(block_columns):
                    column = n * block_columns + j
                    tiles = right[j] if right else _block(rhs, column, 1, COLUMNS, False)[0]
                    out.store(product(left[i], tiles), m * block_rows + i, column)
    return out.finished()


def _block(source: Any, block: int, tiles: int, width: int, wide: bool) -> list[list[Any]]:
    """The tiles of a block of columns, by column and then by depth."""
    steps = source.shape[0] // ROWS
    if not wide:
        return [[load(_tile(source, k, block * tiles + i, width)) for k in range(steps)] for i in range(tiles)]
    rows = [load(_tile(source, k, block, width * tiles)) for k in range(steps)]
    return [[row[:, i * width : (i + 1) * width] for row in rows] for i in range(tiles)]


def blocked(lhs_t: Any, rhs: Any, block_rows: int = 16, block_columns: int = 2, block_depth: int = 8) -> Any:
    """All three dimensions in blocks; the sums over blocks of the depth are kept in SBUF, in float32.

    The published 16 rows of tiles need 224 KiB of SBUF per partition at float32 and 4096 rows, more than there is; its
    profile counts 0.34 GB beyond the loads and stores of the source, so it spilled. Half the rows at a time fit.
    """
    out, (depth, rows), columns = _Result(lhs_t, rhs), lhs_t.shape, rhs.shape[1]
    for n in range(columns // COLUMNS // block_columns):
        sums = [[sbuf((ROWS, COLUMNS), nl.float32) for _ in range(block_columns)] for _ in range(rows // ROWS)]
        for total in (total for line in sums for total in line):
            nisa.memset(dst=total, value=0.0, engine=nisa.vector_engine)
        for k in range(depth // ROWS // block_depth):
            steps = range(k * block_depth, (k + 1) * block_depth)
            right = [load(_tile(rhs, step, n, COLUMNS * block_columns)) for step in steps]
            for m in range(rows // ROWS // block_rows):
                left = [load(_tile(lhs_t, step, m, ROWS * block_rows)) for step in steps]
                for j in range(block_columns):
                    for i in range(block_rows):
                        part = product(_columns(left, i, ROWS), _columns(right, j, COLUMNS))
                        total = sums[m * block_rows + i][j]
                        nisa.tensor_tensor(dst=total, data1=total, data2=part, op=nl.add)
        for m, line in enumerate(sums):
            packed = sbuf((ROWS, COLUMNS * block_columns), out.out.dtype)
            for j, total in enumerate(line):
                nisa.tensor_copy(dst=packed[:, j * COLUMNS : (j + 1) * COLUMNS], src=total, engine=nisa.vector_engine)
            out.add(packed, m, n, COLUMNS * block_columns)
    return out.finished()


def _columns(rows: list[Any], column: int, width: int) -> list[Any]:
    return [row[:, column * width : (column + 1) * width] for row in rows]


def summed_in_sbuf(lhs_t: Any, rhs: Any, block_rows: int = 4, block_depth: int = 8) -> Any:
    """Columns outermost, then depth in blocks; each partial sum goes through SBUF in the dtype of the result.

    The published kernel clears each PSUM tile first; a cleared tile costs no instruction (in the attention traces nl.zeros
    in PSUM became the first product's flag to overwrite).
    """
    (depth, rows), columns = lhs_t.shape, rhs.shape[1]
    out = _Result(lhs_t, rhs, behind=rows // ROWS)  # the next columns' loads come before these stores
    for n in range(columns // COLUMNS):
        sums = [sbuf((ROWS, COLUMNS), out.out.dtype) for _ in range(rows // ROWS)]
        for total in sums:
            nisa.memset(dst=total, value=0.0, engine=nisa.vector_engine)
        for k in range(depth // ROWS // block_depth):
            steps = range(k * block_depth, (k + 1) * block_depth)
            right = [load(_tile(rhs, step, n, COLUMNS)) for step in steps]
            for m in range(rows // ROWS // block_rows):
                left = [load(_tile(lhs_t, step, m, ROWS * block_rows)) for step in steps]
                for i in range(block_rows):
                    _add_through_sbuf(sums[m * block_rows + i], _columns(left, i, ROWS), right)
        for m, total in enumerate(sums):
            out.add(total, m, n, COLUMNS)
    return out.finished()


def _add_through_sbuf(total: Any, left: list[Any], right: list[Any]) -> None:
    held = sbuf((ROWS, COLUMNS), total.dtype)
    nisa.tensor_copy(dst=held, src=product(left, right), engine=nisa.vector_engine)
    nisa.tensor_tensor(dst=total, data1=total, data2=held, op=nl.add, engine=nisa.vector_engine)


def grouped(
    lhs_t: Any, rhs: Any, rows_at_once: int, columns_at_once: int, lhs_tiles: int = 1, rhs_tiles: int = 1
) -> Any:
    """`rows_at_once` x `columns_at_once` tiles of the result grow side by side in PSUM while the depth streams by.

    One DMA brings `lhs_tiles` tiles of lhs_t, or `rhs_tiles` of rhs.
    """
    out, (depth, rows), columns = _Result(lhs_t, rhs), lhs_t.shape, rhs.shape[1]
    for m in range(rows // ROWS // rows_at_once):
        for n in range(columns // COLUMNS // columns_at_once):
            totals = [[psum((ROWS, COLUMNS)) for _ in range(columns_at_once)] for _ in range(rows_at_once)]
            for k in range(depth // ROWS):
                right = _wide_tiles(rhs, k, n, (columns_at_once, rhs_tiles, COLUMNS))
                left = _wide_tiles(lhs_t, k, m, (rows_at_once, lhs_tiles, ROWS))
                for line, stationary in zip(totals, left, strict=True):
                    for total, moving in zip(line, right, strict=True):
                        nisa.nc_matmul(dst=total, stationary=stationary, moving=moving)
            for i, line in enumerate(totals):
                for j, total in enumerate(line):
                    out.store(total, m * rows_at_once + i, n * columns_at_once + j)
    return out.finished()


def _wide_tiles(source: Any, k: int, group: int, form: tuple[int, int, int]) -> list[Any]:
    """The `tiles` tiles of a group, brought by DMAs of `together` tiles each."""
    tiles, together, width = form
    first = group * tiles // together
    wide = [load(_tile(source, k, first + i, width * together)) for i in range(tiles // together)]
    return [row[:, i * width : (i + 1) * width] for row in wide for i in range(together)]
