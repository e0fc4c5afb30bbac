"""Products of any size, linear and their gradients against float32 on the CPU."""

from __future__ import annotations

import pytest
from tests.kernels.compare import clean, distance, normal, real

from opentrn.kernels import linear, linear_backward, matmul

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("sizes", [(1, 1, 1), (5, 130, 257), (130, 257, 700)])
def test_matmul(sizes: tuple[int, int, int], left: bool, right: bool) -> None:
    m, k, n = sizes
    a, b = normal((k, m) if left else (m, k)), normal((n, k) if right else (k, n), seed=1)
    wanted = (real(a).T if left else real(a)) @ (real(b).T if right else real(b))
    assert distance(matmul(a, b, left, right), wanted) < 1e-2


def test_contractions_that_differ_are_refused() -> None:
    with pytest.raises(AssertionError, match="contraction"):
        matmul(normal((3, 4)), normal((5, 6)))


@pytest.mark.parametrize("sizes", [(1, 5, 3), (130, 257, 140)])
def test_linear(sizes: tuple[int, int, int]) -> None:
    t, k, n = sizes
    x, weight, bias, dy = normal((t, k)), normal((k, n)), normal((n,)), normal((t, n), seed=1)
    given = [torch.tensor(real(each), requires_grad=True) for each in (x, weight, bias)]
    wanted = given[0] @ given[1] + given[2]
    wanted.backward(torch.tensor(real(dy)))
    assert distance(linear(x, weight, bias), wanted) < 1e-2
    for got, each in zip(linear_backward(dy, x, weight), given, strict=True):
        assert distance(got, each.grad) < 1e-2


def test_no_errors_found() -> None:
    clean(matmul, normal((130, 257)), normal((257, 70)))
    clean(linear, normal((130, 257)), normal((257, 70)), normal((70,)))
    clean(linear_backward, normal((130, 70)), normal((130, 257)), normal((257, 70)))
