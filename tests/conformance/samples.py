"""Runs the public kernels of nki-samples, in both dialects, unmodified and prints a table against numpy references.

    python tests/conformance/samples.py --samples CHECKOUT_OF_nki-samples --sdk CHECKOUT_OF_aws-neuron-sdk

Nothing of those checkouts is copied; without them there is nothing to run. `--slow` adds what takes minutes. Exit code 1
when a kernel does not match.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np

import opentrn

RNG = np.random.default_rng(5)


@dataclass(frozen=True)
class Job:
    """One kernel: where it is, how to call it, and what an independent computation gives."""

    source: str
    file: str
    kernel: str
    run: Callable[[Any], Any]
    want: Callable[[], np.ndarray]
    tolerance: float
    target: str = "trn2"
    until: str | None = None
    """The line at which the file's own test begins, where it has no ``__main__`` of its own."""
    slow: bool = False


def normal(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def matmul_jobs(source: str, folder: str) -> list[Job]:
    file = f"{folder}/matrix_multiplication_nki_kernels.py"
    small = normal(128, 64), normal(128, 512)
    large = normal(1024, 2048, dtype=ml_dtypes.bfloat16), normal(1024, 2048, dtype=ml_dtypes.bfloat16)

    def job(name: str, pair: tuple[np.ndarray, np.ndarray], tolerance: float) -> Job:
        def want() -> np.ndarray:
            return pair[0].astype(np.float64).T @ pair[1].astype(np.float64)

        return Job(source, file, name, lambda kernel: kernel(*pair), want, tolerance)

    tiled = (
        "nki_matmul_tiled_",
        "nki_matmul_hoist_load_",
        "nki_matmul_block_free_dimension_",
        "nki_matmul_fully_optimized_",
    )
    return [job("nki_matmul_basic_", small, 1e-5), *(job(name, large, 5e-3) for name in tiled)]


def windows(values: np.ndarray, reduce: Callable[[np.ndarray], Any]) -> np.ndarray:
    """(C, H, W) reduced over windows of 2 x 2, one at a time."""
    c, h, w = values.shape
    out = np.empty((c, h // 2, w // 2))
    for index in np.ndindex(out.shape):
        x, y = 2 * index[1], 2 * index[2]
        out[index] = reduce(values[index[0], x : x + 2, y : y + 2])
    return out


def scanned(delta: np.ndarray, u: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The Mamba recurrence, step by step in float64: h = exp(delta A) h + delta B u; y = C h."""
    batch, channels, length = delta.shape
    state, out = np.zeros((batch, channels, a.shape[1])), np.empty(delta.shape)
    for t in range(length):
        d = delta[:, :, t, None].astype(np.float64)
        state = np.exp(d * a) * state + d * u[:, :, t, None] * b[:, None, :, t]
        out[:, :, t] = (state * c[:, None, :, t]).sum(-1)
    return out


def sdk_jobs() -> list[Job]:
    a, b, small = normal(256, 1024), normal(256, 1024), normal(128, 512)
    pool, flip = normal(8, 12, 12), normal(64, 5 * 7)
    ssm = (
        np.abs(normal(1, 256, 512)) / 4,
        normal(1, 256, 512),
        -np.abs(normal(256, 16)),
        normal(1, 16, 512),
        normal(1, 16, 512),
    )

    def flipped() -> np.ndarray:
        return np.stack([row.reshape(5, 7).T.reshape(-1) for row in flip])

    def split(kernel: Any) -> np.ndarray:
        return np.concatenate(kernel(small), 1)

    def halves() -> np.ndarray:
        return np.concatenate([small[:, 0::2], small[:, 1::2]], 1)

    def job(file: str, kernel: str, run: Callable[[Any], Any], want: Callable[[], np.ndarray], tolerance: float) -> Job:
        return Job("sdk", file, kernel, run, want, tolerance)

    add, average = "tensor_addition/tensor_addition_nki_kernels.py", "average_pool2d/average_pool2d_nki_kernels.py"
    mamba = "fused_mamba/mamba_nki_kernels.py"
    return [
        job(add, "nki_tensor_add", lambda k: k(a, b), lambda: a + b, 1e-6),
        job(average, "tensor_avgpool_kernel", lambda k: k(pool, 2), lambda: windows(pool, np.mean), 1e-5),
        job(
            "transpose2d/transpose2d_nki_kernels.py",
            "tensor_transpose2D_kernel_",
            lambda k: k(flip, (5, 7)),
            flipped,
            0,
        ),
        job("simulate/nki_simulate_example.py", "add_kernel", lambda k: k(small, small), lambda: small + small, 1e-6),
        job("layout-pass.py", "tensor_exp_kernel_", lambda k: k(small), lambda: np.exp(small.astype(np.float64)), 1e-5),
        job("index-case-1.py", "tensor_split_kernel_", split, halves, 0),
        job("index-case-3.py", "tensor_maxpool_kernel_", lambda k: k(pool, 2), lambda: windows(pool, np.max), 0),
        *(job(mamba, f"mamba_v{n}", lambda k: k(*ssm), lambda: scanned(*ssm), 1e-5) for n in (1, 2, 3)),
    ]


def load(path: Path, until: str | None = None) -> ModuleType:
    """A module of the checkout, under a name of its own; its neighbours are importable."""
    sys.path.insert(0, str(path.parent))
    made = ModuleType(f"sample_{path.stem}_{abs(hash(path))}")
    made.__file__ = str(path)
    sys.modules[made.__name__] = made  # dataclasses look their module up
    text = path.read_text()
    try:
        exec(compile(text.partition(f"\n{until}")[0] if until else text, str(path), "exec"), made.__dict__)
    finally:
        sys.path.pop(0)
    return made


def stand_in_for(package: str, *names: str) -> None:
    """Empty modules for a framework that files import beside their kernels and that needs a device."""
    if importlib.util.find_spec(package) is not None:
        return
    for name in (package, *(f"{package}.{n}" for n in names)):
        made = ModuleType(name)
        made.__path__ = []  # type: ignore[attr-defined]
        made.__spec__ = ModuleSpec(name, None, is_package=True)
        sys.modules[name] = made


def attempt(job: Job, root: Path) -> tuple[str, str]:
    """(outcome, detail) of one kernel."""
    os.environ["NEURON_PLATFORM_TARGET_OVERRIDE"] = job.target
    start = time.perf_counter()
    try:
        got = np.asarray(job.run(getattr(load(root / job.file, job.until), job.kernel))).astype(np.float64)
    except Exception as error:
        return "FAILED", f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"
    want = job.want()
    gap = np.abs(got.reshape(want.shape) - want).max() / max(np.abs(want).max(), 1e-30)
    outcome = "ok" if gap <= job.tolerance else "DIFFERS"
    return outcome, f"error {gap:.1e} of the largest value, {time.perf_counter() - start:.2f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=Path, help="checkout of aws-neuron/nki-samples")
    parser.add_argument("--sdk", type=Path, help="checkout of aws-neuron/aws-neuron-sdk")
    parser.add_argument("--slow", action="store_true", help="kernels of minutes, too")
    given = parser.parse_args()
    opentrn.install()
    sys.modules.setdefault("samples", sys.modules["__main__"])  # the other files of jobs import this one
    stand_in_for("torch_xla", "core", "core.xla_model")
    warnings.simplefilter("ignore")
    jobs: list[tuple[Job, Path]] = []
    if given.samples:
        root = given.samples / "src/nki_samples/tutorials"
        jobs += [(j, root) for j in matmul_jobs("nki-samples", "matrix_multiplication")]
        from mx_samples import mx_jobs

        jobs += [(j, root) for j in mx_jobs(root)]
        from beta1_samples import beta1_jobs

        sys.path.insert(0, str(given.samples / "src"))  # the package nki_samples
        jobs += [(j, root.parent) for j in beta1_jobs(root.parent) if given.slow or not j.slow]
    if given.sdk:
        root = given.sdk / "nki/examples"
        jobs += [(j, root) for j in [*matmul_jobs("sdk", "matrix_multiplication"), *sdk_jobs()]]
    failed = 0
    for job, root in jobs:
        outcome, detail = attempt(job, root)
        failed += outcome != "ok"
        print(f"{job.source:<12} {job.file.split('/')[-1]:<40} {job.kernel:<45} {job.target}  {outcome:<8} {detail}")
    print(f"\n{len(jobs) - failed} of {len(jobs)} kernels match")
    return 1 if failed or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())
