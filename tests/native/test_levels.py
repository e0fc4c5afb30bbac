"""The result of an instruction does not depend on the processor: every usable level gives the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from tests.native.harness import ALU, BFLOAT16, DTYPES, call, native, random_array, same

RNG = np.random.default_rng(51)
FLOAT = np.dtype(np.float32)
PATTERNS = RNG.integers(0, 2**32, (2, 128, 203), dtype=np.uint64).astype(np.uint32).view(np.float32)
A, B = (np.where(np.abs(x) < 1e30, x, np.float32(0.3)) for x in PATTERNS)
X, Y = RNG.standard_normal((2, 128, 203)).astype(np.float32) * 4
COLUMN = random_array(RNG, (128, 1), FLOAT)

BITWISE = ("bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift")
FUNCTIONS = (1, 2, 5, 7, 8, 10, 12, 15, 17, 19, 22, 23)

CASES = {
    **{f"copy to {t}": ("copy", (A.shape, t), [A]) for t in DTYPES},
    **{f"copy from {t}": ("copy", (A.shape, FLOAT), [X.astype(t)]) for t in DTYPES},
    **{f"alu {n}": ("tensor_tensor", (A.shape, FLOAT), [A, B], (ALU[n], 0)) for n in ALU if n not in BITWISE},
    **{f"activation {c}": ("activation", (A.shape, FLOAT), [X], (c, 0, 0), (1.3, 0.2)) for c in FUNCTIONS},
    "log": ("activation", (A.shape, FLOAT), [np.abs(A)], (18, 0, 0), (1.0, 0.0)),
    "exp of bits": ("activation", (A.shape, FLOAT), [A], (17, 0, 0), (1.0, 0.0)),
    "bias": ("activation", (A.shape, BFLOAT16), [X, COLUMN, COLUMN], (10, 1, 1), (1.0, 0.0)),
    "tensor_scalar": ("tensor_scalar", (A.shape, BFLOAT16), [X, COLUMN], (2, 0, 1, 0, 0, 0, 0), (0.0, 0.1)),
    "reduce": ("tensor_reduce", ((128, 1), FLOAT), [X], (0, 203, 0)),
    "reduce max": ("tensor_reduce", ((128, 1), FLOAT), [X], (3, 203, 0)),
    "scan": ("tensor_tensor_scan", (A.shape, FLOAT), [X, Y], (2, 0, 0, 0, 0), (0.0,)),
    "matmul": ("nc_matmul", ((100, 203), FLOAT), [np.ascontiguousarray(X[:, :100]), Y], (0, 0)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("case", CASES)
def test_levels_agree(case):
    levels = native.cpu_levels()
    if len(levels) < 2:
        pytest.skip("this processor runs one level only")
    best, *others = (call(*CASES[case], level=level) for level in levels)
    assert all(same(best, other) for other in others)
