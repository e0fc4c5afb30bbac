"""The MX tutorial kernels (trn3) for `samples.py`, with data and references of our own."""

from __future__ import annotations

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
        # e5m2 keeps 2 bits of mantissa, e4m3 3: half a step relative error each, averaged over 512 products
        loose = 0.06 if name == "float8_e5m2" else 0.03

        def offline(kernel: Any, a: Any = (a, a_scale, b, b_scale), x4: Any = x4) -> Any:
            return kernel(*a, x4)

        def on_device(kernel: Any, a: Any = (a, a_scale, plain), x4: Any = x4) -> Any:
            return kernel(*a, x4, x4)

        def strided(kernel: Any, a: Any = (tall, wide), x4: Any = x4) -> Any:
            return kernel(*a, x4)

        plain_values = plain.astype(np.float64).reshape(K, N, 4)
        both = tall.astype(np.float64).T @ wide.astype(np.float64)
        jobs += [
            Job(f"mx {name[7:]}", file, "kernel_offline_quantized_mx_matmul", offline,
                lambda x=a_means, y=b_means: product(x, y), 5e-3, "trn3"),
            Job(f"mx {name[7:]}", file, "kernel_on_device_quantize_matmul_mx", on_device,
                lambda x=a_means, y=plain_values: product(x, y), loose, "trn3"),
            Job(f"mx {name[7:]}", file, "kernel_copy_strided_quantize_matmul_mx", strided, lambda w=both: w, loose, "trn3"),
        ]  # fmt: skip
    return jobs
