"""AdamW against torch.optim.AdamW."""

from __future__ import annotations

import numpy as np
import pytest
from tests.kernels.compare import clean, distance, normal

from opentrn.kernels import adamw
from opentrn.kernels.adamw import adamw_factors

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("shape", [(1,), (130, 257), (3, 5, 700)])
def test_one_step(shape: tuple[int, ...]) -> None:
    p, g, m = (normal(shape, "float32", seed) for seed in range(3))
    v = np.abs(normal(shape, "float32", 3))
    parameter = torch.nn.Parameter(torch.tensor(p))
    optimiser = torch.optim.AdamW([parameter], lr=1e-2, weight_decay=0.1)
    parameter.grad = torch.tensor(g)
    state = {"step": torch.tensor(4.0), "exp_avg": torch.tensor(m), "exp_avg_sq": torch.tensor(v)}
    optimiser.state[parameter] = state
    optimiser.step()
    got = adamw(p, g, m, v, np.float32(adamw_factors(5, 1e-2, decay=0.1)))
    for values, wanted in zip(got, (parameter, state["exp_avg"], state["exp_avg_sq"]), strict=True):
        assert distance(values, wanted) < 1e-6


def test_no_errors_found() -> None:
    clean(adamw, *(np.abs(normal((130, 7), "float32", seed)) for seed in range(4)), np.float32(adamw_factors(1)))
