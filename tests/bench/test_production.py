"""The two sides of each row at production sizes compute the same."""

from __future__ import annotations

from typing import Any

import pytest
from tests.kernels.compare import distance, real

from opentrn.bench.production import SIZES, WORKS

torch = pytest.importorskip("torch")

SMALL = {
    "attention": (4, 2, 530, 40), "swiglu, few tokens": (5, 140, 130), "experts": (50, 70, 40, 3, 20),
    "rms_norm to fp8": (130, 90),
}  # fmt: skip


@pytest.mark.parametrize("name", WORKS)
def test_same_values(name: str) -> None:
    assert len(SIZES[name]) == len(SMALL[name])
    ours, direct = (_values(side()) for side in WORKS[name](*SMALL[name]))
    assert distance(ours, direct) < 2e-2


def _values(result: Any) -> Any:
    """As float32, from float8 times scale too."""
    if isinstance(result, tuple):
        return _values(result[0]) * _values(result[1])
    return real(result.float() if isinstance(result, torch.Tensor) else result)
