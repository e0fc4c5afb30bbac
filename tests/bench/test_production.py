"""The two sides of each row at production sizes compute the same."""

from __future__ import annotations

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
    ours, direct = (side() for side in WORKS[name](*SMALL[name]))
    if isinstance(ours, tuple):
        ours, direct = real(ours[0]) * ours[1], real(direct[0].float()) * real(direct[1])
    assert distance(ours, direct.float() if hasattr(direct, "float") else direct) < 2e-2
