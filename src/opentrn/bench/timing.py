"""Speed of recording without data, of the event loop, and of the trace file. Started as a process by `opentrn bench`."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import ml_dtypes
import numpy as np

from opentrn.bench import kernels
from opentrn.isa.enums import MemoryRegion
from opentrn.machine.chip import load_chip
from opentrn.nki import settings
from opentrn.nki.arrays import ShapeDtype
from opentrn.nki.kernel import simulate as kernel_of
from opentrn.numerics.dtypes import DTYPES
from opentrn.profile.perfetto import write_perfetto
from opentrn.program.storage import Allocation
from opentrn.program.trace import READS, WRITES, Geometry, Trace
from opentrn.timing import native, simulate
from opentrn.timing.lower import classes_of, columns_of, machine_of

__all__ = ["main", "median_seconds"]

REPEATS = 5
TILED = 8192
LONG = (200_000, 1_000_000, 10_000_000)
IRREGULAR = (50_000, 200_000, 800_000)


def median_seconds(action: Callable[[], Any]) -> float:
    """Median CPU seconds: the machine is shared, and everything here runs on one thread."""
    samples = []
    for _ in range(REPEATS):
        start = time.process_time()
        action()
        samples.append(time.process_time() - start)
    return median(samples)


def _record(size: int, kernel: Callable[..., Any] = kernels.tiled_matmul) -> Any:
    shape = ShapeDtype((size, size), "bfloat16")
    return kernel_of(kernel).report((shape, shape), {}, target="trn2", data=False, trace=True)


def _end_to_end(kernel: Callable[..., Any]) -> dict[str, float]:
    """A Python kernel to a timeline, every rule checked."""
    recorded = _record(TILED, kernel)
    return {
        "instructions": len(recorded.traces[0]),
        "whole": median_seconds(lambda: simulate(_record(TILED, kernel).traces, recorded.chip)),
    }


def repeated(trace: Trace, times: int) -> Trace:
    """The program `times` times over."""
    n, m = len(trace), len(trace.region)
    first = trace.first_operand[:-1]
    starts = np.concatenate([first + m * k for k in range(times)] + [[m * times]]).astype(np.int64)
    tiled = {name: np.tile(getattr(trace, name), times) for name in ("step", "place", "region", "access")}
    assert len(tiled["step"]) == n * times
    return replace(trace, first_operand=starts, **tiled)


def _loop(program: Trace, chip: Any) -> float:
    """Seconds of dependencies, pruning and event loop."""
    classes = classes_of(program.steps, chip)
    machine, columns = machine_of(chip, classes), columns_of(program, chip, 0)
    return median_seconds(lambda: native.run(machine, classes, [columns]))


def _long_programs() -> dict[str, float]:
    """Seconds of the loop by the length of the program."""
    recorded = _record(TILED)
    trace = recorded.traces[0]
    programs = [repeated(trace, max(1, round(length / len(trace)))) for length in LONG]
    return {str(len(program)): _loop(program, recorded.chip) for program in programs}


def random_rectangles(count: int, seed: int = 0) -> Trace:
    """`count` instructions of every engine on random rectangles of SBUF, dense and strided, no two alike.

    One in eight reads or writes at a run-time address, so anywhere in its tensor.
    """
    rng, width = np.random.default_rng(seed), 32768
    shapes = [(rows, columns) for rows in (1, 16, 32, 64, 128) for columns in (4, 16, 64, 256)]
    geometries = [Geometry(shape, (width, step), 2) for shape in shapes for step in (1, 2)]
    geometries += [Geometry((128, 64), (width, 1), 2, whole=True)]
    tensors = [
        Allocation(n, "", (128, width), DTYPES["bfloat16"], MemoryRegion.sbuf, 0, None, (0, 65536 * n))
        for n in range(3)
    ]
    small = Allocation(3, "", (128, 64), DTYPES["bfloat16"], MemoryRegion.sbuf, 0, None, (0, 65536 * 3))
    for tensor in (*tensors, small):
        tensor.first, tensor.last = 0, count - 1
    operands = 3 * count
    form = rng.integers(0, len(geometries) - 1, operands)
    rows = np.array([g.shape[0] for g in geometries])[form]
    columns = np.array([(g.shape[1] - 1) * g.strides[1] + 1 for g in geometries])[form]
    offset = rng.integers(0, 129 - rows) * width + rng.integers(0, width + 1 - columns)
    tensor = rng.integers(0, 3, operands)
    anywhere = rng.random(operands) < 1 / 24
    form[anywhere], tensor[anywhere], offset[anywhere] = len(geometries) - 1, 3, 0
    steps = kernels.steps_of_every_engine()
    return Trace(
        steps=steps,
        places=[(random_rectangles.__code__, 1)],
        allocations=[*tensors, small],
        geometries=geometries,
        step=rng.integers(0, len(steps), count).astype(np.int32),
        place=np.zeros(count, np.int32),
        first_operand=np.arange(0, operands + 1, 3, dtype=np.int64),
        region=np.arange(operands, dtype=np.int32),
        access=np.tile(np.array([WRITES, READS, READS], np.uint8), count),
        region_allocation=tensor.astype(np.int32),
        region_offset=offset.astype(np.int64),
        region_geometry=form.astype(np.int32),
        edges=np.zeros((0, 2), np.int64),
    )


def _irregular() -> dict[str, float]:
    return {str(count): _loop(random_rectangles(count), load_chip("trn2")) for count in IRREGULAR}


def _with_values(size: int) -> dict[str, float]:
    """The same kernel with values alone, and with values and time."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size), np.float32).astype(ml_dtypes.bfloat16) for _ in range(2))
    kernel = kernel_of(kernels.matmul)

    def both() -> None:
        launched = kernel.report((a, b), {}, target="trn2", trace=True)
        simulate(launched.traces or [], launched.chip)

    return {"values": median_seconds(lambda: kernel.report((a, b), {}, target="trn2")), "both": median_seconds(both)}


def _trace_file() -> dict[str, float]:
    """The trace in memory and as a file: slices per second, bytes per instruction."""
    recorded = _record(TILED)
    timeline = simulate(recorded.traces, recorded.chip)
    n = len(timeline)
    columns = [v.nbytes for v in vars(recorded.traces[0]).values() if isinstance(v, np.ndarray)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.pftrace")
        seconds = median_seconds(lambda: write_perfetto(path, timeline))
        return {
            "seconds": seconds,
            "slices": n + len(timeline.dma.instruction),
            "bytes": path.stat().st_size / n,
            "recorded": sum(columns) / n,
        }


def main() -> None:
    """Print everything this process measured; argument: the matmul size of the row with values."""
    settings.read()
    json.dump(
        {
            "end_to_end": _end_to_end(kernels.tiled_matmul),
            "tile_per_load": _end_to_end(kernels.tile_per_load),
            "long": _long_programs(),
            "irregular": _irregular(),
            "with_values": _with_values(int(sys.argv[1])),
            "trace_file": _trace_file(),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
