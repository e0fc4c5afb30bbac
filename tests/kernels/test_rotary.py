"""Rotary embedding against numpy, and its gradient as the turn back."""

from __future__ import annotations

import numpy as np
import pytest
from tests.kernels.compare import clean, distance, normal, real

from opentrn.kernels import rotary

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("shape", [(1, 1, 2), (130, 3, 16), (257, 5, 64)])
def test_values_and_the_way_back(shape: tuple[int, int, int]) -> None:
    tokens, _, width = shape
    x = normal(shape, "float32")
    angles = np.outer(np.arange(tokens), 0.3 ** np.arange(width // 2)).astype(np.float32)
    a, b = x[..., : width // 2], x[..., width // 2 :]
    turns = (a + 1j * b) * np.exp(1j * angles)[:, None]
    got = rotary(x, np.cos(angles), np.sin(angles))
    assert distance(got, np.concatenate([turns.real, turns.imag], -1)) < 1e-5
    assert distance(rotary(got, np.cos(angles), np.sin(angles), backwards=True), x) < 1e-5


def test_bfloat16() -> None:
    x, cosine = normal((5, 2, 8)), normal((5, 4)) * 0 + normal((1,)).dtype.type(1)
    assert np.array_equal(real(rotary(x, cosine, cosine * 0)), real(x))


def test_no_errors_found() -> None:
    clean(rotary, normal((130, 3, 16)), normal((130, 8)), normal((130, 8)))
