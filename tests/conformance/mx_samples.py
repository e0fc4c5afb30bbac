"""The MX tutorial kernels (trn3) for `samples.py`, with data and references of our own."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from samples import RNG, Job

import opentrn.nki.language as nl

FORMATS = {"float8_e5m2": "float8_e5m2_x4", "float8_e4m3fn": "float8_e4m3fn_x4"}
M, K, N = 128, 128, 512


def quantised(name: str, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(packed data (K, columns), scales (K / 8, columns), the values they stand for (K, columns, 4))."""
    kind = np.dtype(getattr(ml_dtypes, name))
    values = RNG.uniform(-2, 2, (K, columns, 4)).astype(kind)
    scales = RNG.integers(124, 131, (K // 8, columns)).astype(np.uint8)
    stands_for = values.astype(np.float64) * 2.0 ** (np.repeat(scales, 8, 0)[:, :, None].astype(np.float64) - 127)
    return values.view(np.uint8).reshape(K, columns * 4).view(np.uint32), scales, stands_for


def requantised(values: np.ndarray, name: str) -> np.ndarray:
    """(K, columns, 4) values after microscaling: groups of 8 rows x 4 share 2**(floor(log2(max)) - (Emax - 1))."""
    kind, largest = np.dtype(getattr(ml_dtypes, name)), 8 if name == "float8_e4m3fn" else 15
    groups = values.astype(np.float64).reshape(K // 8, 8, -1, 4)
    scale = 2.0 ** (np.floor(np.log2(np.abs(groups).max((1, 3), keepdims=True))) - (largest - 1))
    return ((groups / scale).astype(np.float32).astype(kind).astype(np.float64) * scale).reshape(values.shape)


def interleaved(matrix: np.ndarray) -> np.ndarray:
    """(4 K, columns) as (K, columns, 4): row block j is the j-th of each four, as the tutorial strides its data."""
    return matrix.reshape(4, K, -1).transpose(1, 2, 0)


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.einsum("pmj,pnj->mn", left, right)


def mx_jobs(_root: Path) -> list[Job]:
    """The three kernels, in each format that they take."""
    file = "mxfp-matmul/mx_kernels.py"
    jobs = []
    for name, packed in FORMATS.items():
        x4 = getattr(nl, packed)
        a, a_scale, a_means = quantised(name, M)
        b, b_scale, b_means = quantised(name, N)
        plain = RNG.uniform(-1, 1, (K, N * 4)).astype(ml_dtypes.bfloat16)
        tall, wide = (RNG.uniform(-1, 1, (4 * K, n)).astype(ml_dtypes.bfloat16) for n in (M, N))

        def offline(kernel: Any, a: Any = (a, a_scale, b, b_scale), x4: Any = x4) -> Any:
            return kernel(*a, x4)

        def on_device(kernel: Any, a: Any = (a, a_scale, plain), x4: Any = x4) -> Any:
            return kernel(*a, x4, x4)

        def strided(kernel: Any, a: Any = (tall, wide), x4: Any = x4) -> Any:
            return kernel(*a, x4)

        plain_means = requantised(plain.reshape(K, N, 4), name)
        tall_means, wide_means = requantised(interleaved(tall), name), requantised(interleaved(wide), name)
        means = {
            "kernel_offline_quantized_mx_matmul": (offline, a_means, b_means),
            "kernel_on_device_quantize_matmul_mx": (on_device, a_means, plain_means),
            "kernel_copy_strided_quantize_matmul_mx": (strided, tall_means, wide_means),
        }
        for kernel, (call, left, right) in means.items():
            want = functools.partial(product, left, right)
            jobs.append(Job(f"mx {name[7:]}", file, kernel, call, want, 5e-3, "trn3"))  # the result is bfloat16
    return jobs
