"""Public kernels of the older dialect (`neuronxcc.nki`), each against an independent computation; for `samples.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from samples import Job, normal, scanned, windows

UNIFORM = np.random.default_rng(11)


def uniform(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return (2 * UNIFORM.random(shape) - 1).astype(dtype)


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool = False, scale: float = 1.0) -> np.ndarray:
    """(rows, d) from q (d, rows), k (d, columns) and v (columns, d), in float64."""
    scores = scale * (q.astype(np.float64).T @ k.astype(np.float64))
    if causal:
        scores[np.triu_indices_from(scores, 1)] = -np.inf
    return softmax(scores) @ v.astype(np.float64)


def bigger(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """Twice as large along `axes` by linear interpolation between cell centres, the edges held."""
    made = values.astype(np.float64)
    for axis in axes:
        n = made.shape[axis]
        at = np.clip((np.arange(2 * n) + 0.5) / 2 - 0.5, 0, n - 1)
        low = np.minimum(at.astype(int), n - 2)
        weight = (at - low).reshape([-1 if d == axis else 1 for d in range(made.ndim)])
        made = np.take(made, low, axis) * (1 - weight) + np.take(made, low + 1, axis) * weight
    return made


def tutorials() -> list[Job]:
    a, b = normal(256, 1024), normal(256, 1024)
    tall = normal(512, 2048), normal(512, 2048)
    pool, flip = normal(8, 12, 12), normal(64, 5 * 7)
    ssm = (
        np.abs(normal(1, 256, 512)) / 4, normal(1, 256, 512), -np.abs(normal(256, 16)), normal(1, 16, 512), normal(1, 16, 512),
    )  # fmt: skip
    add = "tutorials/tensor_addition"
    fused = "tutorials/fused_mamba/mamba_nki_kernels.py"
    flat = "tutorials/transpose2d/transpose2d_nki_kernels.py"
    jobs = [
        job(f"{add}/tensor_addition_nki_kernels.py", "nki_tensor_add", lambda k: k(a, b), lambda: a + b, 1e-6),
        job(f"{add}/spmd_tensor_addition_nki_kernels.py", "nki_tensor_add", lambda k: k(a, b), lambda: a + b, 1e-6),
        job(f"{add}/spmd_multiple_nc_tensor_addition_nki_kernels.py", "nki_tensor_add_nc2", lambda k: k(*tall),
            lambda: tall[0] + tall[1], 1e-6),
        job("tutorials/average_pool2d/average_pool2d_nki_kernels.py", "tensor_avgpool_kernel", lambda k: k(pool, 2),
            lambda: windows(pool, np.mean), 1e-5),
        job(flat, "tensor_transpose2D_kernel_", lambda k: k(flip, (5, 7)),
            lambda: np.stack([row.reshape(5, 7).T.reshape(-1) for row in flip]), 0),
        *(job(fused, f"mamba_v{n}", lambda k: k(*ssm), lambda: scanned(*ssm), 1e-5) for n in (1, 2, 3)),
    ]  # fmt: skip
    return jobs + [_attention_version(name) for name in (*map(str, range(1, 9)), "8a", "9", "10", "11")]


def _attention_version(name: str) -> Job:
    length = {"1": 128, "2": 128, "10": 4096, "11": 4096}.get(name, 1024)
    exact = name in "123456"
    q, k, v = (uniform(128, length) for _ in range(3))
    return job(
        "tutorials/attention_fwd_performance/attention_kernels.py", f"attn_fwd_v{name}", lambda kernel: kernel(q, k, v),
        lambda: attention(q, k, v.T), 1e-5 if exact else 2e-2,
    )  # fmt: skip


def contributed() -> list[Job]:
    image, volume, flat = uniform(2, 70, 16, 12), uniform(2, 66, 7, 6, 5), normal(300, 64)
    pair = uniform(1024, 512, dtype=np.float16), uniform(1024, 2048, dtype=np.float16)
    long = tuple(uniform(1, *shape, dtype=ml_dtypes.bfloat16) for shape in ((128, 16384), (128, 16384), (16384, 128)))

    def highest() -> np.ndarray:
        return np.lib.stride_tricks.sliding_window_view(flat, (3, 3)).max((2, 3))

    return [
        job("../../contributed/interpolate_bilinear_fwd.py", "interpolate_bilinear_2x_fwd", lambda k: k(image),
            lambda: bigger(image, (2, 3)), 1e-5),
        job("../../contributed/interpolate_trilinear_fwd.py", "interpolate_trilinear_2x_fwd", lambda k: k(volume),
            lambda: bigger(volume, (2, 3, 4)), 1e-5),
        job("../../contributed/matmul.py", "matmul", lambda k: jitted(k)(*pair),
            lambda: pair[0].astype(np.float64).T @ pair[1].astype(np.float64), 1e-3),
        job("../../contributed/maxpooling.py", "max_pooling_2d_stride_1", lambda k: k(flat, 3), highest, 0),
        job("../../contributed/pipelined_attention.py", "flash_fwd",
            lambda k: k[0](*long, mixed_precision=True, softmax_scale=0.125, use_causal_mask=False),
            lambda: attention(long[0][0], long[1][0], long[2][0], scale=0.125), 3e-2, until="bs=1", slow=True),
    ]  # fmt: skip


def jitted(function: Any) -> Any:
    from neuronxcc import nki

    return nki.baremetal()(function)


def reference(root: Path) -> list[Job]:
    """The kernels that AWS shipped as `neuronxcc.nki.kernels`, in checkouts that have them (until January 2026)."""
    if not (root / "reference").is_dir():
        return []
    length, d = 2048, 128
    q, k, v = uniform(1, 2, d, length), uniform(1, 1, d, length), uniform(1, 1, length, d)
    small = tuple(
        uniform(1, *shape, dtype=ml_dtypes.bfloat16) for shape in ((128, length), (length, 128), (length, 128))
    )
    hidden, weights = uniform(1, 256, 512, dtype=np.float16), uniform(512, 512, dtype=np.float16) / 16
    picture, grid = uniform(2, 8, 6, 128), uniform(2, 8, 12, 10)

    def flash(kernel: Any) -> Any:
        from nki_samples.reference.attention import FlashConfig

        config = FlashConfig(training=False, seq_tile_size=2048, should_transpose_v=False)
        return kernel[1, 1](q, k, v, None, use_causal_mask=True, mixed_precision=True, config=config)

    def rows() -> np.ndarray:
        return np.stack([attention(q[0, h], k[0, 0], v[0, 0], True, d**-0.5) for h in range(2)])[None]

    def self_attention() -> np.ndarray:
        return attention(small[0][0], small[1][0].T, small[2][0], scale=0.125)[None]

    def normed() -> np.ndarray:
        x = hidden.astype(np.float64)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) @ weights.astype(np.float64)

    def nearest() -> np.ndarray:
        rows_at, columns_at = (np.arange(n) * m // n for n, m in ((16, 8), (18, 6)))
        return picture[:, rows_at][:, :, columns_at]

    def averaged() -> np.ndarray:
        edges = [[(i * n // m, -(-(i + 1) * n // m)) for i in range(m)] for n, m in ((12, 5), (10, 4))]
        return np.stack([
            np.stack([grid[:, :, a:b, c:e].mean((2, 3)) for c, e in edges[1]], -1) for a, b in edges[0]
        ], -2)  # fmt: skip

    return [
        job("reference/attention.py", "flash_fwd", flash, rows, 3e-2),
        *_gradients(),
        job("reference/attention.py", "fused_self_attn_for_SD_small_head_size",
            lambda kernel: kernel[1](*small), self_attention, 3e-2),
        job("reference/allocated_attention.py", "allocated_fused_self_attn_for_SD_small_head_size",
            lambda kernel: kernel[1](small[0], small[1].swapaxes(1, 2).copy(), small[2]),
            lambda: self_attention().swapaxes(1, 2), 3e-2),
        job("reference/vision.py", "adaptive_avg_pool2d_kernel", lambda kernel: kernel(grid, (5, 4)), averaged, 1e-5),
        job("reference/allocated_fused_linear.py", "allocated_fused_rms_norm_qkv",
            lambda kernel: kernel[1](hidden, weights), normed, 1e-2),
        job("reference/vision.py", "resize_nearest_fixed_dma_kernel", lambda kernel: kernel[2](picture, (2, 16, 18, 128)), nearest, 0),
    ]  # fmt: skip


def _gradients() -> list[Job]:
    """Attention's backward pass: each gradient, from the closed forms in float64."""
    length, d = 2048, 128
    q, k, v, dy = (uniform(1, 1, d, length) for _ in range(4))
    rows = [x[0, 0].astype(np.float64).T for x in (q, k, v, dy)]
    scores = d**-0.5 * rows[0] @ rows[1].T
    scores[np.triu_indices(length, 1)] = -np.inf
    p = softmax(scores)
    sums = scores.max(1) + np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1))
    out = p @ rows[2]
    slope = p * (rows[3] @ rows[2].T - (rows[3] * out).sum(1, keepdims=True))
    want = np.stack([d**-0.5 * slope @ rows[1], d**-0.5 * slope.T @ rows[0], p.T @ rows[3]])

    def run(kernel: Any) -> Any:
        o = np.ascontiguousarray(out.T)[None, None].astype(np.float32)
        lse = np.ascontiguousarray(sums.reshape(-1, 128).T)[None, None].astype(np.float32)
        made = kernel[1, 1](
            q, k, v, o, dy, lse, None, use_causal_mask=True, mixed_precision=False, dropout_p=0.0, softmax_scale=None
        )
        return np.stack([np.asarray(g)[0, 0].T for g in made])

    return [job("reference/attention.py", "flash_attn_bwd", run, lambda: want, 1e-3)]


def job(
    file: str, kernel: str, run: Callable[[Any], Any], want: Callable[[], np.ndarray], tolerance: float, **more: Any
) -> Job:  # fmt: skip
    return Job("nki-samples", file, kernel, run, want, tolerance, **more)


def beta1_jobs(root: Path) -> list[Job]:
    """Jobs under `root`, the folder ``src/nki_samples`` of a checkout."""
    return [*tutorials(), *contributed(), *reference(root)]
