"""The gradients of attention against torch's derivative in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.kernels.compare import clean, distance, normal, real

import opentrn
from opentrn.kernels import attention, attention_backward

torch = pytest.importorskip("torch")


def reference(dy: Any, q: Any, k: Any, v: Any, causal: bool) -> tuple[np.ndarray, list[Any]]:
    """The result of attention, in the dtype of q, and the gradients of q, k and v."""
    given = [torch.tensor(real(each), dtype=torch.float64, requires_grad=True) for each in (q, k, v)]
    shared = [each.repeat_interleave(len(q) // len(k), 0) for each in given[1:]]
    out = torch.nn.functional.scaled_dot_product_attention(given[0], *shared, is_causal=causal)
    out.backward(torch.tensor(real(dy), dtype=torch.float64))
    return real(out).astype(q.dtype), [each.grad for each in given]


def inputs(heads: int, groups: int, sizes: tuple[int, int], width: int, dtype: str = "bfloat16") -> list[np.ndarray]:
    """dy, q, k and v for so many queries and keys."""
    shapes = [(heads, sizes[0], width)] * 2 + [(groups, sizes[1], width)] * 2
    return [normal(shape, dtype, seed) for seed, shape in enumerate(shapes)]


@pytest.mark.parametrize(
    ("heads", "groups", "length", "width"), [(1, 1, 1, 5), (4, 2, 130, 64), (4, 1, 513, 16), (2, 2, 1160, 128)]
)
@pytest.mark.parametrize("causal", [True, False])
def test_gradients(heads: int, groups: int, length: int, width: int, causal: bool) -> None:
    dy, q, k, v = inputs(heads, groups, (length, length), width)
    out, wanted = reference(dy, q, k, v, causal)
    for got, like, each in zip(attention_backward(dy, q, k, v, out, causal=causal), (q, k, v), wanted, strict=True):
        assert got.dtype == like.dtype
        assert distance(got, each) < 1e-2


def test_more_queries_than_are_held_at_a_time() -> None:
    dy, q, k, v = inputs(2, 1, (4200, 4200), 4)
    out, wanted = reference(dy, q, k, v, True)
    for got, each in zip(attention_backward(dy, q, k, v, out), wanted, strict=True):
        assert distance(got, each) < 1e-2


def test_float32_and_another_number_of_keys() -> None:
    dy, q, k, v = inputs(2, 1, (131, 700), 32, "float32")
    out, wanted = reference(dy, q, k, v, False)
    for got, each in zip(attention_backward(dy, q, k, v, out, causal=False), wanted, strict=True):
        assert got.dtype == np.float32
        assert distance(got, each) < 2e-2


def test_the_result_of_the_forward_kernel_serves() -> None:
    dy, q, k, v = inputs(2, 1, (257, 257), 64)
    _, wanted = reference(dy, q, k, v, True)
    for got, each in zip(attention_backward(dy, q, k, v, attention(q, k, v)), wanted, strict=True):
        assert distance(got, each) < 1e-2


def test_scores_far_above_what_exp_can_hold() -> None:
    dy, q, k, v = inputs(1, 1, (130, 130), 64)
    direction = 10 * normal((1, 1, 64), "float32")
    q, k = ((direction + each).astype(each.dtype) for each in (q / 8, k / 8))
    assert (real(q[0]) @ real(k[0]).T).min() / 8 > 300
    out, wanted = reference(dy, q, k, v, True)
    dq, dk, dv = attention_backward(dy, q, k, v, out)
    assert distance(dv, wanted[2]) < 1e-2
    assert distance(dk, wanted[1]) < 1e-2
    # along the direction that all keys share, exact sums of dS * k cancel, and those of dS in bfloat16 leave its rounding
    unit = direction[0] / np.linalg.norm(direction)
    assert distance(*(real(each) - real(each) @ unit.T @ unit for each in (dq, wanted[0]))) < 1e-2


def test_shapes_that_do_not_fit_are_refused() -> None:
    dy, q, k, v = inputs(3, 2, (5, 5), 8)
    with pytest.raises(AssertionError, match="groups"):
        attention_backward(dy, q, k, v, q)
    dy, q, k, v = inputs(2, 2, (5, 6), 8)
    with pytest.raises(AssertionError, match="as many keys as queries"):
        attention_backward(dy, q, k, v, q)


@pytest.mark.parametrize("causal", [True, False])
def test_nothing_found(causal: bool) -> None:
    dy, q, k, v = inputs(2, 1, (257, 257), 64)
    clean(attention_backward, dy, q, k, v, q, causal=causal)
    findings = opentrn.check(attention_backward)(dy, q, k, v, q, causal=causal)
    assert [each for each in findings if each.severity == "warning"] == []
