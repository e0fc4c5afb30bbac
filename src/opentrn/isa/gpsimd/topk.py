"""topk: the K largest of a 16-partition snake."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.rules import same_tile
from opentrn.isa.spec import SBUF, Broken, Cost, Use, instruction, into, of

SNAKE = 16
BF16 = frozenset({"bfloat16"})


@instruction(
    operands={
        "val_dst": into(SBUF, dtypes=BF16),
        "idx_dst": into(SBUF, dtypes=frozenset({"uint32"})),
        "src": of(SBUF, dtypes=BF16),
    },
    attributes={"n": a.integer},
    engines=(enums.engine.gpsimd,),
    page="nki.isa.topk (SDK 2.32)",
)
def topk(val_dst, idx_dst, src, n, name=None):
    """Write the K largest of ``n`` elements in ascending order, and their positions, for each partition.

    The elements of a group of 16 partitions form a snake: elements 0 to 15 are column 0 of its partitions, 16 to 31
    column 1, and so on. K is the free size of ``val_dst``; every partition of a group receives the same result.
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


@topk.meaning
def _(use: Use) -> None:
    source, k = use.src.raw(), use.val_dst.elements
    values = np.empty((len(source), k), source.dtype)
    index = np.empty((len(source), k), np.uint32)
    for start in range(0, len(source), SNAKE):
        snake = source[start : start + SNAKE].T.reshape(-1)[: use.n]
        best = np.argsort(snake.astype(np.float32), kind="stable")[-k:]
        values[start : start + SNAKE] = snake[best]
        index[start : start + SNAKE] = best
    use.val_dst.put(values)
    use.idx_dst.put(index)


@topk.cost
def _(use: Use) -> Cost:
    chip, table = use.chip, use.chip.cost.gpsimd
    cycles = table.topk_cycles_per_n * use.n + table.topk_cycles_per_k * use.val_dst.elements
    tier = chip.quantity("cost.gpsimd.topk_cycles_per_n").tier
    return Cost("gpsimd", cycles / chip.engines.gpsimd.clock_hz * 1e9, 0.0, (tier,))


topk.differ(
    "All 16 partitions of a group receive the same result, and of equal values the later positions count as larger.",
)


@topk.shown
def _(m: SimpleNamespace) -> Any:
    def best(x: Any) -> Any:
        tile = m.nl.load(x)
        values = m.nl.ndarray((16, 4), dtype=m.nl.bfloat16, buffer=m.nl.sbuf)
        index = m.nl.ndarray((16, 4), dtype=m.nl.uint32, buffer=m.nl.sbuf)
        m.nisa.topk(val_dst=values, idx_dst=index, src=tile, n=42)
        out = m.nl.ndarray((16, 4), dtype=m.nl.uint32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=index)
        return out

    return best, (m.np.arange(48).reshape(16, 3).astype(m.nl.bfloat16),)
