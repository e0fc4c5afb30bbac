"""Softmax and its gradient against torch."""

from __future__ import annotations

import numpy as np
import pytest
from tests.kernels.compare import clean, distance, normal, real

from opentrn.kernels import softmax, softmax_backward

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (130, 700), (257, 130)])
def test_values(shape: tuple[int, int]) -> None:
    x, dy = 3 * normal(shape), normal(shape, seed=1)
    wanted = torch.tensor(real(x), requires_grad=True)
    torch.softmax(wanted, -1).backward(torch.tensor(real(dy)))
    y = softmax(x)
    assert distance(y, torch.softmax(wanted, -1)) < 1e-2
    assert np.abs(real(softmax_backward(dy, y)) - real(wanted.grad)).max() < 1e-2


def test_large_values_do_not_overflow() -> None:
    x = normal((3, 8), "float32") + 1e4
    assert distance(softmax(x), torch.softmax(torch.tensor(x), -1)) < 1e-4


def test_no_errors_found() -> None:
    clean(softmax, normal((130, 257)))
    clean(softmax_backward, normal((130, 257)), normal((130, 257)))
