"""A pytest plugin for `nki_library.py --to-scale`: attention_block_tkg with 8-bit numbers whose scales fit what they hold.

The suite draws these scales at random, so that its 8-bit weights are up to 50 times as large as those that the same
function makes without quantization, and inputs are cut off; and it takes the keys of an 8-bit cache as they are held, 104
times too large. A comment of that function says why weights are N(0, 1/sqrt(H)): the scores of larger ones turn the softmax
into an argmax, which rounding to bfloat16 flips. Here every scale is the one that gives the numbers of the unquantized
test, for kernel and golden alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.conformance.mended import BLOCK_TESTS, loaded

__all__ = ["to_scale"]

LARGEST = 240.0
"""Of float8_e4m3, and of the suite's weights, which are uniform up to it."""
OUT_DEVIATION = 0.5
"""Of the unquantized weights of the output projection."""
NORMALIZED = 1.5 * 3**0.5
"""The largest normalized input: of a uniform one, times the largest gamma."""


def to_scale(made: dict[str, Any], hidden: int, head: int) -> dict[str, Any]:
    """The inputs `made` of the kernel, for `hidden` inputs and heads of `head` numbers, with scales to fit."""
    cached = made["k_scale"] is not None
    deviation = LARGEST / 3**0.5
    scales = {
        "weight_dequant_scale_qkv": hidden**-0.5 / deviation,
        "input_dequant_scale_qkv": NORMALIZED / LARGEST,
        "weight_dequant_scale_out": OUT_DEVIATION / deviation,
        "input_dequant_scale_out": 1.0 if cached else 1 / LARGEST,  # of the values of V, as the cache holds them
    }
    fitting = {name: np.full_like(made[name], scale) for name, scale in scales.items() if made[name] is not None}
    if cached:
        fitting["softmax_scale"] = float(head**-0.5 / made["k_scale"].flat[0])
    return {**made, **fitting}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems() -> None:
    """Once the test file is there."""
    for suite in loaded(BLOCK_TESTS):
        inputs = suite.generate_kernel_inputs
        suite.generate_kernel_inputs = lambda cfg, inputs=inputs: to_scale(inputs(cfg), cfg.H, cfg.d_head)
