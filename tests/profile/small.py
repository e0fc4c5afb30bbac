"""Timelines written out by hand: a row for each instruction, a tuple for each DMA."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opentrn.isa.enums import MemoryRegion
from opentrn.machine.chip import load_chip
from opentrn.numerics.dtypes import dtype
from opentrn.program.storage import Allocation
from opentrn.timing.timeline import CAUSES, ENGINES, Dma, Operation, Place, Semaphores, Spans, Timeline

_PRODUCT = "dst (128, 512) float32 psum, stationary (128, 128) bfloat16 sbuf, moving (128, 512) bfloat16 sbuf"
_PAIR = "dst (128, 512) float32 sbuf, data (128, 512) float32 sbuf"
MATMUL = Operation("nc_matmul", "tensor", _PRODUCT, ("documented",), 2.0 * 128 * 128 * 512, 512)
ADD = Operation("tensor_tensor", "vector", _PAIR, ("measured",), elements=512)
EXP = Operation("activation", "scalar", _PAIR, ("fitted",), elements=512)
MASK = Operation("affine_select", "gpsimd", _PAIR, ("inferred",), elements=512)
COPY = Operation("dma_copy", "sync", _PAIR, ("documented",))
BY_ENGINE = dict(zip(ENGINES, (MATMUL, ADD, EXP, MASK, COPY), strict=True))


@dataclass
class Row:
    """One instruction in ns; `line` is its source line, `op` overrides the engine's usual operation."""

    engine: str
    start: float
    end: float
    done: float | None = None
    ready: float | None = None
    cause: str = "start"
    blocker: int = -1
    line: int = 1
    op: Operation | None = None
    core: int = 0


@dataclass
class Move:
    """One DMA of row `row`; directions as in `Dma.direction`."""

    row: int
    first: float
    last: float
    nbytes: int = 1 << 18
    descriptors: int = 64
    direction: int = 0
    tensor: int = 0
    low: int = 0
    high: int | None = None


def tensor(name: str, *shape: int) -> Allocation:
    return Allocation(0, name, shape, dtype("float32"), MemoryRegion.shared_hbm, 0, None)


def timeline(
    rows: list[Row],
    moves: list[Move] | None = None,
    total: float | None = None,
    waits: tuple[tuple[int, int], ...] = (),
    half: tuple[tuple[float, float], ...] = (),
    tensors: tuple[Allocation, ...] = (),
    prologue: float = 0.0,
    chip: object = None,
) -> Timeline:
    moves = moves or []
    ops = list(dict.fromkeys(row.op or BY_ENGINE[row.engine] for row in rows))
    lines = sorted({row.line for row in rows})
    done = [row.end if row.done is None else row.done for row in rows]
    total = max(done, default=0.0) if total is None else total
    pairs = np.array(waits, np.int64).reshape(-1, 2)
    last = 0.0
    edges = [edge for pair in half for edge in pair]
    spans = [(0.0, edges[0], "full")] if edges and edges[0] > 0 else []
    for first, last in half:
        spans.append((first, last, "half"))
    spans.append((last, total, "full"))

    def f(values: list) -> np.ndarray:
        return np.array(values, np.float64)

    return Timeline(
        chip=chip or load_chip("trn2"),
        cores=1 + max((row.core for row in rows), default=0),
        total_ns=total,
        prologue_ns=prologue,
        epilogue_ns=total - max(done, default=0.0),
        operations=ops,
        places=[Place("/home/me/kernel.py", line, "kernel") for line in lines],
        tensors=list(tensors) or [tensor("a", 1024, 1024), tensor("out", 1024, 1024)],
        core=np.array([row.core for row in rows], np.uint8),
        engine=np.array([ENGINES.index(row.engine) for row in rows], np.uint8),
        operation=np.array([ops.index(row.op or BY_ENGINE[row.engine]) for row in rows], np.int32),
        place=np.array([lines.index(row.line) for row in rows], np.int32),
        ready=f([row.start if row.ready is None else row.ready for row in rows]),
        start=f([row.start for row in rows]),
        end=f([row.end for row in rows]),
        done=f(done),
        cause=np.array([CAUSES.index(row.cause) for row in rows], np.uint8),
        blocker=np.array([row.blocker for row in rows], np.int64),
        dma=Dma(
            instruction=np.array([m.row for m in moves], np.int64),
            queue=np.zeros(len(moves), np.uint8),
            first=f([m.first for m in moves]),
            last=f([m.last for m in moves]),
            nbytes=np.array([m.nbytes for m in moves], np.int64),
            descriptors=np.array([m.descriptors for m in moves], np.int64),
            engines=np.full(len(moves), 16, np.uint8),
            direction=np.array([m.direction for m in moves], np.uint8),
            tensor=np.array([m.tensor for m in moves], np.int32),
            low=np.array([m.low for m in moves], np.int64),
            high=np.array([m.low + m.nbytes if m.high is None else m.high for m in moves], np.int64),
        ),
        semaphores=Semaphores(pairs[:, 0], pairs[:, 1]),
        queues=["core0 sync"],
        clock=[Spans(f([s[0] for s in spans]), f([s[1] for s in spans]), [s[2] for s in spans])],
    )  # fmt: skip


def load_multiply_add() -> Timeline:
    """A load on line 1, the product of it on line 2, an addition on line 3, the store on line 4; 100 ns prologue.

    sync   load  100-160, its bytes 900-1900, done 2200
    tensor product 2215-2428, done 2600 (waits for the load)
    vector addition 2615-3100, done 3200 (waits for the product)
    sync   store 3200-3260 (waits for the addition), bytes 4000-5000, done 5300; the kernel ends at 5400
    """
    rows = [
        Row("sync", 100, 160, 2200, ready=100),
        Row("tensor", 2215, 2428, 2600, ready=100, cause="dma", blocker=0, line=2),
        Row("vector", 2615, 3100, 3200, ready=100, cause="semaphore", blocker=1, line=3),
        Row("sync", 3200, 3260, 5300, ready=160, cause="semaphore", blocker=2, line=4),
    ]
    moves = [Move(0, 900, 1900), Move(3, 4000, 5000, direction=1, tensor=1)]
    return timeline(rows, moves, total=5400, waits=((0, 1), (1, 2), (2, 3)), prologue=100)
