"""The kernels of `opentrn validate` compute what they say, at a small size; those with a public trace have its counts."""

import functools

import ml_dtypes
import numpy as np
import pytest

import opentrn
from opentrn.validation.kernels import attention, conv2d, elementwise, kmeans, mamba, matmul, mlp, probes, vector_add

BF16 = ml_dtypes.bfloat16


@pytest.fixture
def random():
    return np.random.default_rng(0)


def run(kernel, *args, target="trn2", **kwargs):
    return opentrn.run(kernel, target=target)(*args, **kwargs)


def close(found, wanted, atol=1e-4):
    assert found.shape == wanted.shape
    np.testing.assert_allclose(np.asarray(found, np.float64), wanted, rtol=1e-4, atol=atol)


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (matmul.tiled, {}),
        (matmul.tiled, {"keep": 3}),
        (matmul.hoisted, {}),
        (matmul.blocked_free, {}),
        (matmul.blocked_free, {"form": "wide"}),
        (matmul.blocked_free, {"form": "again"}),
        (matmul.blocked, {"block_rows": 2, "block_columns": 1, "block_depth": 1}),
        (matmul.summed_in_sbuf, {"block_rows": 2, "block_depth": 1}),
        (matmul.grouped, {"rows_at_once": 1, "columns_at_once": 2}),
        (matmul.grouped, {"rows_at_once": 2, "columns_at_once": 2, "lhs_tiles": 2, "rhs_tiles": 2}),
    ],
)
def test_matmul(random, kernel, options):
    lhs_t, rhs = random.standard_normal((256, 256), np.float32), random.standard_normal((256, 1024), np.float32)
    close(run(kernel, lhs_t, rhs, **options).results, lhs_t.T.astype(np.float64) @ rhs)


def test_tiled_keeps_a_tile_for_as_many_columns_as_asked(random):
    lhs_t, rhs = np.zeros((128, 128), np.float32), np.zeros((128, 4096), np.float32)
    assert run(matmul.tiled, lhs_t, rhs).instructions["dma_copy"] == 8 * 3
    assert run(matmul.tiled, lhs_t, rhs, keep=3).instructions["dma_copy"] == 3 + 8 * 2


def attention_arguments(random, length, dtype):
    identity = np.eye(128, dtype=np.float32)
    small = [] if dtype is np.float32 else [identity.astype(dtype)]
    return [random.uniform(-1, 1, (128, length)).astype(dtype) for _ in range(3)] + [identity, *small]


def reference_attention(q, k, v):
    scores = q.T.astype(np.float64) @ k.astype(np.float64)
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True) @ v.T.astype(np.float64)


@pytest.mark.parametrize("kernel", [attention.fused, attention.unfused])
@pytest.mark.parametrize(("length", "dtype"), [(512, BF16), (2048, np.float32)])
def test_attention(random, kernel, length, dtype):
    given = attention_arguments(random, length, dtype)
    close(run(kernel, *given).results, reference_attention(*given[:3]), 4e-3 if dtype is BF16 else 1e-5)


# Counts of profiling/artifacts/*/json_reports of allenkchau/trainium-kernel-fusion (d709ddf), without DMAs on Scalar's row:
# (matmul passes, ScalarE's copies and activations, VectorE, DMAs of Scalar, of Sync, of GpSimd).
TRACES = {
    ("fused", 512, "bf16"): (56, 8, 16, 0, 2, 4),
    ("fused", 512, "fp32"): (60, 8, 16, 0, 1, 4),
    ("fused", 1024, "bf16"): (216, 38, 56, 0, 2, 4),
    ("fused", 1024, "fp32"): (232, 32, 56, 0, 1, 4),
    ("unfused", 512, "bf16"): (56, 14, 18, 4, 6, 4),
    ("unfused", 1024, "bf16"): (216, 52, 63, 16, 18, 5),
    ("unfused", 1024, "fp32"): (232, 46, 63, 16, 17, 5),
}


@pytest.mark.parametrize(("name", "length", "dtype"), TRACES)
def test_attention_has_the_instructions_of_its_trace(random, name, length, dtype):
    given = attention_arguments(random, length, BF16 if dtype == "bf16" else np.float32)
    report = run(getattr(attention, name), *given)
    counts = {engine: {"dma": 0, "other": 0} for engine in ("tensor", "scalar", "vector", "gpsimd", "sync")}
    for step, times in report.steps.items():
        counts[step.engine.name]["dma" if step.instruction.name == "dma_copy" else "other"] += times
    chunks, rows = length // 512, length // 128
    scores, products = rows * chunks, rows * rows
    transposed = rows + products
    assert counts["tensor"]["other"] == scores + transposed + products
    in_passes = transposed + 2 * products + scores * (1 if dtype == "bf16" else 2)
    found = (
        in_passes,
        *(counts[e]["other"] for e in ("scalar", "vector")),
        *(counts[e]["dma"] for e in ("scalar", "sync", "gpsimd")),
    )
    assert found == TRACES[name, length, dtype]


def reference_gelu(x):
    from math import erf

    return x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))


@pytest.mark.parametrize(
    ("kernel", "finish", "atol"),
    [
        (mlp.gemm, lambda x: x, 1e-4),
        (mlp.fused_table, reference_gelu, 1e-3),
        (mlp.fused_taylor, reference_gelu, 3e-3),
    ],
)
def test_mlp(random, kernel, finish, atol):
    lhs_t, rhs = (random.standard_normal((256, n), np.float32) / 16 for n in (256, 1024))
    bias = random.standard_normal((1, 1024), np.float32)
    close(run(kernel, lhs_t, rhs, bias).results, finish(lhs_t.T.astype(np.float64) @ rhs + bias), atol)


def test_gelu_alone(random):
    y = random.standard_normal((128, 1024), np.float32)
    close(run(mlp.gelu, y).results, reference_gelu(y), 1e-3)


def test_mlp_keeps_weights_that_fit(random):
    bias = np.zeros((1, 512), np.float32)
    small = run(mlp.gemm, np.zeros((128, 256), np.float32), np.zeros((128, 512), np.float32), bias)
    assert small.instructions["dma_copy"] == 1 + 1 + 2 * (1 + 1)  # rhs and bias once; lhs_t and result per tile


def test_mlp_joins_loads():
    shapes = [(512, 128), (512, 512), (1, 512)]
    report = run(mlp.gemm, *(np.zeros(shape, np.float32) for shape in shapes))
    assert report.instructions["dma_copy"] == 1 + 2 + 1 + 1  # 4 KiB per partition: 8 tiles of lhs_t, 2 of rhs


@pytest.mark.parametrize("options", [{"rows": 1}, {"rows": 128}])
def test_vector_add_tiled(random, options):
    a, b = random.standard_normal((2, 256), np.float32)
    report = run(vector_add.tiled, a, b, **options)
    close(report.results, a.astype(np.float64) + b)
    assert report.instructions["dma_copy"] == 3 * 256 // options["rows"]


def test_vector_add_streamed(random):
    a, b = random.standard_normal((2, 2560), np.float32)
    close(run(vector_add.streamed, a, b, free=10).results, a.astype(np.float64) + b)


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize(("kernel", "target"), [(conv2d.row_by_row, "trn2"), (conv2d.two_rows, "trn1")])
def test_conv2d(random, kernel, target, pool):
    x, weights = (
        random.standard_normal((1, 128, 6, 8), np.float32),
        random.standard_normal((128, 128, 3, 3), np.float32),
    )
    bias = random.standard_normal(128, np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(x[0].astype(np.float64), (3, 3), axis=(1, 2))
    wanted = np.einsum("chwij,ocij->ohw", windows, weights) + bias[:, None, None]
    wanted = wanted.reshape(128, 4 // pool, pool, 6 // pool, pool).max((2, 4))[None]
    close(run(kernel, x, weights, bias, pool=pool, target=target).results, wanted, 1e-3)


def test_kmeans(random):
    points, centroids = random.standard_normal((128, 256), np.float32), random.standard_normal((128, 1024), np.float32)
    squares = (centroids**2).sum(0, keepdims=True)
    found = run(kmeans.assign, points, centroids, squares).results
    distance = ((points[:, :, None].astype(np.float64) - centroids[:, None, :]) ** 2).sum(0)
    np.testing.assert_array_equal(found[:, 0], distance.argmin(1))


@pytest.mark.parametrize("options", [{"reload": True}, {}, {"piece": 64}])
def test_mamba(random, options):
    delta, u = random.uniform(0, 1, (2, 1, 128, 128)).astype(np.float32)
    a, b, c = (
        -random.uniform(0, 1, (128, 2)).astype(np.float32),
        *random.uniform(0, 1, (2, 1, 2, 128)).astype(np.float32),
    )
    state, wanted = np.zeros((128, 2)), np.zeros((1, 128, 128))
    for t in range(128):
        state = np.exp(delta[0, :, t, None] * a) * state + (delta * u)[0, :, t, None] * b[0, :, t]
        wanted[0, :, t] = (state * c[0, :, t]).sum(1)
    close(run(mamba.scan, delta, u, a, b, c, target="trn1", **options).results, wanted, 1e-3)


def test_silu(random):
    x = random.standard_normal((128, 2, 1024), np.float32)
    close(run(elementwise.silu, x, target="trn1").results, x / (1 + np.exp(-x.astype(np.float64))), 1e-4)


def test_adamw(random):
    theta, gradient, mean = random.standard_normal((3, 192, 1024), np.float32)
    square = random.uniform(0.1, 1, (192, 1024)).astype(np.float32)
    momentum, variance = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient.astype(np.float64) ** 2
    wanted = theta * (1 - 1e-5) - 0.01 * momentum / (np.sqrt(1000 * variance) + 1e-8)
    close(run(elementwise.adamw, theta, gradient, mean, square, target="trn1").results, wanted)


def test_rope(random):
    x, (cosine, sine) = random.standard_normal((128, 512), np.float32), random.standard_normal((2, 64, 512), np.float32)
    even, odd = x[:64], x[64:]
    wanted = np.concatenate([even * cosine - odd * sine, odd * cosine + even * sine]).astype(np.float64)
    close(run(elementwise.rope, x, cosine, sine, target="trn1").results, wanted)


@pytest.mark.parametrize("name", probes.INSTRUCTIONS)
def test_every_probe_runs(name):
    wide = "bfloat16" if name == "tensor.matmul" else "float32"
    src, dst = ("sbuf", wide, 128), ("psum" if name in ("tensor.matmul", "vector.add_psum") else "sbuf", "float32", 128)
    if name in ("vector.max", "vector.sum"):
        dst = ("sbuf", "float32", 1)
    report = run(
        functools.partial(probes.repeated, instruction=name, src=src, dst=dst, repeats=3), np.zeros((1, 1), np.float32)
    )
    assert report.instruction_count == 2 + 3 + 2


def test_transfers_copy(random):
    x = random.standard_normal((128, 64), np.float32)
    for queue in ("sync", "scalar", "gpsimd", "none"):
        report = run(probes.transfer, x, queue=queue)
        close(report.results, x)
        assert report.engines == {"dma" if queue == "none" else queue: 2}
