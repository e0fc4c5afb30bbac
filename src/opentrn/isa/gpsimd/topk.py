"""topk: the K largest of a 16-partition snake."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import cycles_ns, tiers_of
from opentrn.isa.rules import same_tile
from opentrn.isa.spec import SBUF, Broken, Cost, Use, instruction, into, of

SNAKE = 16
BF16 = frozenset({"bfloat16"})


@instruction(
    operands={
        "val_dst": into(SBUF, dtypes=BF16, role="inout"),
        "idx_dst": into(SBUF, dtypes=frozenset({"uint32"}), role="inout"),
        "src": of(SBUF, dtypes=BF16),
    },
    attributes={"n": a.integer},
    engines=(enums.engine.gpsimd,),
    page="nki.isa.topk (SDK 2.32)",
)
def topk(val_dst, idx_dst, src, n, name=None):
    """Write the K largest of ``n`` elements in ascending order, and their positions, for each group of 16 partitions.

    The bfloat16 elements of a group form a snake: elements 0 to 15 are column 0 of its partitions, 16 to 31 column 1, and
    so on. K is the free size of ``val_dst`` (bfloat16) and ``idx_dst`` (uint32). The results form a snake too: result j
    goes to partition j % 16, column j // 16 of the group; all other elements of the destinations are left as they are.
    """


@topk.rule("c1", "documented", "val_dst and idx_dst have the same shape")
def _(use: Use) -> None:
    same_tile(use.val_dst, use.idx_dst)


@topk.rule("c2", "documented", "8 <= n < 65536, 1 <= K < 32768 and K <= n")
def _(use: Use) -> None:
    limits, k = use.chip.limits, use.val_dst.elements
    if not limits.topk_n_min <= use.n <= limits.topk_n_max or not 1 <= k <= min(use.n, limits.topk_k_max):
        raise Broken(f"n={use.n}, K={k}", "8 <= n < 65536 and 1 <= K <= n")


@topk.rule("c3", "documented", "src has at least ceil(n / 16) elements per partition")
def _(use: Use) -> None:
    if use.src.elements < -(-use.n // SNAKE):
        raise Broken(f"{use.src.elements} elements per partition for n={use.n}", f"{-(-use.n // SNAKE)} or more")


@topk.rule("c4", "documented", "the partitions are a multiple of 16, the same in src and outputs")
def _(use: Use) -> None:
    if use.src.partitions % SNAKE or use.src.partitions != use.val_dst.partitions:
        raise Broken(f"{use.src.partitions} and {use.val_dst.partitions} partitions", "a multiple of 16")


def unwound(tile: np.ndarray) -> np.ndarray:
    """(partitions, columns) as one row per group of 16 partitions, in the order of the snake."""
    return tile.reshape(-1, SNAKE, tile.shape[-1]).transpose(0, 2, 1).reshape(len(tile) // SNAKE, -1)


def wound(rows: np.ndarray) -> np.ndarray:
    """The inverse: (groups, k) as (16 * groups, k), zero behind the snake."""
    groups, k = rows.shape
    padded = np.zeros((groups, k * SNAKE), rows.dtype)
    padded[:, :k] = rows
    return padded.reshape(groups, k, SNAKE).transpose(0, 2, 1).reshape(-1, k)


@topk.meaning
def _(use: Use) -> None:
    src, k = use.src, use.val_dst.elements
    values, written = src.moved()
    if written is not None and not unwound(written.reshape(src.partitions, -1))[:, : use.n].all():
        src.require_written()
    values = unwound(values.reshape(src.partitions, -1))[:, : use.n]
    best = np.argsort(values.astype(np.float32), axis=1, kind="stable")[:, -k:]
    there = wound(np.ones_like(best, bool))
    use.val_dst.put(wound(np.take_along_axis(values, best, 1)), there)
    use.idx_dst.put(wound(best.astype(np.uint32)), there)


@topk.cost
def _(use: Use) -> Cost:
    table = use.chip.cost.gpsimd
    cycles = table.topk_cycles_per_n * use.n + table.topk_cycles_per_k * use.val_dst.elements
    tiers = tiers_of(use, "gpsimd.topk_cycles_per_n", "gpsimd.topk_cycles_per_k", "gpsimd.drain_ns")
    return Cost("gpsimd", cycles_ns(use, "gpsimd", cycles), table.drain_ns, tiers, elements=use.n)


topk.differ(
    "The results lie in a snake as the source does, ascending. The page speaks of the K values of each partition, but "
    "AWS's gpsimd_topk kernel (nki-library 2.32) reads a snake of K, whose order on the chip it calls another one.",
    "Of equal values the later positions count as larger; NaN counts as the largest value.",
)


@topk.shown
def _(m: SimpleNamespace) -> Any:
    def best(x: Any) -> Any:
        tile = m.nl.load(x)
        values = m.nl.ndarray((16, 4), dtype=m.nl.bfloat16, buffer=m.nl.sbuf)
        index = m.nl.ndarray((16, 4), dtype=m.nl.uint32, buffer=m.nl.sbuf)
        m.nisa.topk(val_dst=values, idx_dst=index, src=tile, n=42)
        out = m.nl.ndarray((4, 1), dtype=m.nl.uint32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=index[0:4, 0:1])
        return out

    return best, (m.np.arange(48).reshape(16, 3).astype(m.nl.bfloat16),)
