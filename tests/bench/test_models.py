"""The benchmark's own kernels against numpy, over odd shapes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from tests.kernels.compare import clean, distance, normal, real

from opentrn.bench.models import experts, rms_norm_quantised


def _experts(t: int, h: int, f: int, e: int, c: int) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(0)
    tokens = np.stack([random.permutation(t)[:c] for _ in range(e)]).astype(np.int32)
    shapes = [(e, h, f), (e, h, f), (e, f, h)]
    weights = [(normal(s, "float32", n) / 8).astype(ml_dtypes.bfloat16) for n, s in enumerate(shapes)]
    return normal((t, h)), tokens, random.random((e, c), np.float32), *weights


@pytest.mark.parametrize("sizes", [(7, 5, 3, 2, 4), (140, 130, 70, 3, 131)])
def test_experts(sizes: tuple[int, int, int, int, int]) -> None:
    given = _experts(*sizes)
    x, gate, up, down = (real(given[n]) for n in (0, 3, 4, 5))
    tokens, affinity = given[1], given[2]
    wanted = np.zeros(x.shape, np.float64)
    for expert, token in np.ndindex(*tokens.shape):  # one token at a time
        row = x[tokens[expert, token]]
        first = row @ gate[expert]
        hidden = first / (1 + np.exp(-first)) * (row @ up[expert])
        wanted[tokens[expert, token]] += affinity[expert, token] * (hidden @ down[expert])
    assert distance(experts(*given), wanted) < 1e-2


@pytest.mark.parametrize("shape", [(3, 5), (130, 257)])
def test_rms_norm_quantised(shape: tuple[int, int]) -> None:
    x, weight = normal(shape), normal((shape[1],), "float32", 1)
    got, scale = rms_norm_quantised(x, weight)
    exact = real(x) / np.sqrt((real(x) ** 2).mean(1, keepdims=True) + 1e-6) * weight
    np.testing.assert_allclose(scale[:, 0], abs(exact).max(1) / 240, rtol=1e-5)
    # four significant bits: half of the last is 1/16 of the smallest mantissa; below 2^-6 steps are 2^-9
    error = abs(real(got) * scale - exact)
    assert (error <= np.maximum(abs(exact) / 16, scale * 2.0**-10) * 1.001).all()
    assert (abs(real(got)).max(1) == 240).all()


def test_no_errors_found() -> None:
    clean(experts, *_experts(20, 30, 40, 2, 10))
    clean(rms_norm_quantised, normal((9, 40)), normal((40,), "float32"))
