"""RMSNorm and LayerNorm and their gradients against torch."""

from __future__ import annotations

import numpy as np
import pytest
from tests.kernels.compare import clean, distance, normal, real

import opentrn
from opentrn.kernels import layer_norm, layer_norm_backward, rms_norm, rms_norm_backward

torch = pytest.importorskip("torch")

SHAPES = [(1, 5), (130, 700), (257, 130), (5, 1025), (3, 8192)]


@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm(shape: tuple[int, int]) -> None:
    x, dy, weight, bias = normal(shape), normal(shape, seed=1), normal(shape[1:]), normal(shape[1:], seed=1)
    given = [torch.tensor(real(each), requires_grad=True) for each in (x, weight, bias)]
    wanted = torch.nn.functional.layer_norm(given[0], shape[1:], given[1], given[2])
    wanted.backward(torch.tensor(real(dy)))
    assert distance(layer_norm(x, weight, bias), wanted) < 1e-2
    for got, each in zip(layer_norm_backward(dy, x, weight), given, strict=True):
        assert distance(got, each.grad) < 1.5e-2


@pytest.mark.parametrize("shape", SHAPES)
def test_rms_norm(shape: tuple[int, int]) -> None:
    x, dy, weight = normal(shape), normal(shape, seed=1), normal(shape[1:])
    given = [torch.tensor(real(each), requires_grad=True) for each in (x, weight)]
    wanted = torch.nn.functional.rms_norm(given[0], shape[1:], given[1], eps=1e-6)
    wanted.backward(torch.tensor(real(dy)))
    assert distance(rms_norm(x, weight), wanted) < 1e-2
    for got, each in zip(rms_norm_backward(dy, x, weight), given, strict=True):
        assert distance(got, each.grad) < 1.5e-2


def test_a_large_mean_leaves_the_variance_exact() -> None:
    x, ones = normal((4, 600), "float32") + 300, np.ones(600, np.float32)
    wanted = torch.nn.functional.layer_norm(torch.tensor(x), (600,))
    assert distance(layer_norm(x, ones, 0 * ones), wanted) < 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_longest_rows_fit(dtype: str) -> None:
    """To time a kernel its tensors get addresses: one that did not fit would raise CapacityError."""
    x, weight = opentrn.ShapeDtype((1024, 8192), dtype), opentrn.ShapeDtype((8192,), dtype)
    assert opentrn.profile(layer_norm, mode="timing")(x, weight, weight).latency_us > 0
    assert opentrn.profile(layer_norm_backward, mode="timing")(x, x, weight).latency_us > 0


def test_no_errors_found() -> None:
    x, weight = normal((130, 257)), normal((257,))
    clean(layer_norm, x, weight, weight)
    clean(layer_norm_backward, x, x, weight)
    clean(rms_norm, x, weight)
    clean(rms_norm_backward, x, x, weight)
