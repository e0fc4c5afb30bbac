"""The SwiGLU MLP and its gradients against torch."""

from __future__ import annotations

import pytest
from tests.kernels.compare import clean, distance, normal, real

from opentrn.kernels import swiglu, swiglu_backward

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("sizes", [(1, 5, 3), (130, 257, 140)])
def test_values_and_gradients(sizes: tuple[int, int, int]) -> None:
    t, h, f = sizes
    x, dy = normal((t, h)), normal((t, h), seed=1)
    weights = [(normal(shape, "float32", n) / 16).astype(x.dtype) for n, shape in enumerate([(h, f), (h, f), (f, h)])]
    given = [torch.tensor(real(each), requires_grad=True) for each in (x, *weights)]
    wanted = (torch.nn.functional.silu(given[0] @ given[1]) * (given[0] @ given[2])) @ given[3]
    wanted.backward(torch.tensor(real(dy)))
    assert distance(swiglu(x, *weights), wanted) < 1e-2
    for got, each in zip(swiglu_backward(dy, x, *weights), given, strict=True):
        assert distance(got, each.grad) < 1.5e-2


def test_no_errors_found() -> None:
    x, gate, down = normal((130, 70)), normal((70, 140)), normal((140, 70))
    clean(swiglu, x, gate, gate, down)
    clean(swiglu_backward, x, x, gate, gate, down)
