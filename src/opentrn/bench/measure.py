"""One process of the benchmark: measures and prints JSON. Started by `opentrn bench` with one thread and a fixed path."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import ml_dtypes
import numpy as np

from opentrn.bench import kernels
from opentrn.nki import settings
from opentrn.nki.kernel import run
from opentrn.program import native
from opentrn.program.recorder import ACTIVE

__all__ = ["main"]

REPEATS = 5


def _flush() -> None:
    assert ACTIVE.recorder is not None
    ACTIVE.recorder.flush()


def _median(action: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> float:
    samples = []
    for _ in range(REPEATS):
        start = clock()
        action()
        samples.append(clock() - start)
    return median(samples)


def _matmul(size: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((size, size), np.float32) for _ in range(2))
    a, b = left.astype(ml_dtypes.bfloat16), right.astype(ml_dtypes.bfloat16)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = run(kernels.matmul)(a, b)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    ours = _median(lambda: run(kernels.matmul)(a, b))
    sgemm = _median(lambda: left.T @ right)
    want = a.astype(np.float32).T @ b.astype(np.float32)
    error = np.abs(report.results.astype(np.float32) - want).max() / np.abs(want).max()
    inputs_and_output = 3 * size * size * 4
    held = grown + a.nbytes + b.nbytes
    return {"seconds": ours, "sgemm": sgemm, "memory_ratio": held / inputs_and_output, "error": float(error)}


def _elementwise() -> dict[str, float]:
    x = np.random.default_rng(1).standard_normal((128, 2048)).astype(ml_dtypes.bfloat16)
    repeats = 200 if native.available() else 20
    found = {}
    for name in kernels.STEPS:
        kernel = kernels.elementwise(name, repeats, time.perf_counter, _flush)
        samples = []
        for _ in range(REPEATS):
            run(kernel)(x)
            samples.append(kernel.seconds / repeats)  # type: ignore[attr-defined]
        found[name] = median(samples)
    source, target = np.zeros(x.nbytes, np.uint8), np.zeros(x.nbytes, np.uint8)
    np.copyto(target, source)
    found["numpy copy"] = (
        _median(lambda: [np.copyto(target, source) for _ in range(repeats)], time.perf_counter) / repeats
    )
    return found


def _torch() -> dict[str, float]:
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(1)
    wide = torch.randn(128, 2048)
    narrow = wide.to(torch.bfloat16)
    fast = {}
    for name, function in (("exp", torch.exp), ("gelu", torch.nn.functional.gelu)):
        paths: list[Callable[[], Any]] = [
            lambda f=function: f(narrow), lambda f=function: f(narrow.float()).to(torch.bfloat16)]  # fmt: skip
        for path in paths:
            path()
        fast[name] = min(_median(lambda p=p: [p() for _ in range(50)], time.perf_counter) / 50 for p in paths)
    return fast


def _small() -> float:
    count = 100_000 if native.available() else 10_000
    kernel = kernels.small(count, time.perf_counter, _flush)
    samples = []
    for _ in range(REPEATS):
        run(kernel)(np.ones((128, 1), np.float32))
        samples.append(count / kernel.seconds)  # type: ignore[attr-defined]
    return median(samples)


def main() -> None:
    """Print everything this process measured; argument: the matmul size."""
    settings.read()
    size = int(sys.argv[1])
    json.dump({"native": native.available(), "matmul": _matmul(size), "elementwise": _elementwise(), "torch": _torch(),
               "small": _small()}, sys.stdout)  # fmt: skip


if __name__ == "__main__":
    main()
