"""A pytest plugin: what of nki-library 2.29 is mended in memory, and said here.

- `core/qkv/qkv_cte.py` has ``from ..utils import stream_shuffle_broadcast``, which gives the module of that name, and calls
  it where one static scale serves all partitions, which no Python can. Its other kernels import the function.
- The generator of MX inputs draws four numbers per group of 32 in a loop, minutes for 128 experts. Here they are drawn at
  once: the same distribution, other values.
- The golden of nc_matmul_mx contracts with `np.einsum`'s own loops, minutes per test too; here by matrix products.
- The inputs of attention_block_tkg are scaled as for static quantization also where a test quantizes by rows: the kernel
  asserts, as its golden takes for granted, a scale per output column there. Here each column has the one of its matrix.
- Its caches of 8 bits are drawn by numpy's oldest generator, half a minute for the longest contexts; here by a faster one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

__all__ = ["largest_first", "loaded", "mend", "normal", "scaled_by_column", "stabilized"]

BLOCK_TESTS = "transformer.test_attention_block_tkg"
FUNCTION, GENERATOR = "stream_shuffle_broadcast", "generate_stabilized_mx_data"
ROWS, COLUMNS = 8, 4  # of a group that shares a scale


def loaded(ending: str) -> list[Any]:
    """The imported modules whose name ends so; the suite has the same file under several names."""
    return [module for name, module in list(sys.modules.items()) if name.endswith(ending)]


def mend() -> list[str]:
    """Put the function where the module stands; gives back the names of the modules that were mended."""
    mended = []
    for name, module in list(sys.modules.items()):
        found = getattr(module, FUNCTION, None) if name.endswith("core.qkv.qkv_cte") else None
        if isinstance(found, ModuleType):
            setattr(module, FUNCTION, getattr(found, FUNCTION))
            mended.append(name)
    return mended


def largest_first(shape: tuple[int, int], largest: float, exponent: int) -> np.ndarray:
    """Numbers in [-largest, largest), and in each group one of random sign in [1, 1.5) * 2**exponent.

    That one fixes the group's scale, as the suite's own loop has it: never in the last row or column of the group.
    """
    values = (np.random.random(shape) * 2 - 1) * largest
    groups = shape[0] // ROWS, shape[1] // COLUMNS
    row = ROWS * np.arange(groups[0])[:, None] + np.random.randint(0, ROWS - 1, groups)
    column = COLUMNS * np.arange(groups[1]) + np.random.randint(0, COLUMNS - 1, groups)
    values[row, column] = np.random.choice([-1, 1], groups) * (1 + np.random.random(groups) / 2) * 2.0**exponent
    return values


def stabilized(suite: Any, original: Callable[..., Any]) -> Callable[..., Any]:
    """The suite's generator (the module `suite` has it) with `largest_first` in place of its loop."""

    def generate(mx_dtype: Any, shape: tuple[int, int], val_range: float = 1.0) -> tuple[Any, Any, Any]:
        if val_range == 0:
            return original(mx_dtype, shape, val_range)
        largest = suite.get_mx_fp_max(mx_dtype)
        values = largest_first(shape, largest, suite.get_mx_max_exp(mx_dtype)).astype(np.float32)
        data = suite.static_cast(values, suite.NL_TO_DT_DTYPE.get(mx_dtype, mx_dtype))
        high = min(255, int(np.log2(val_range / largest) + 127))
        groups = shape[0] // ROWS, shape[1] // COLUMNS
        scale = np.random.randint(max(0, high - 10), high + 1, groups, dtype=np.uint8)
        return suite.dequantize_mx_golden(data, scale), data, scale

    return generate


def normal(mean: float, deviation: float, shape: tuple[int, ...]) -> np.ndarray:
    """What `np.random.normal` draws, in float32 and several times as fast, from where `np.random.seed` was set."""
    drawn = np.random.Generator(np.random.SFC64(np.random.randint(2**31))).standard_normal(shape, np.float32)
    drawn *= deviation
    drawn += mean
    return drawn


def scaled_by_column(suite: Any) -> None:
    """Give the inputs of attention_block_tkg (the module `suite` makes them) the scales of weights quantized by rows."""
    inputs, per_rank = suite.generate_kernel_inputs, suite._create_per_rank_inputs
    suite.np = SimpleNamespace(**{**vars(np), "random": SimpleNamespace(**{**vars(np.random), "normal": normal})})

    def generate(cfg: Any) -> Any:
        made = inputs(cfg)
        if cfg.quantization_type.name == "ROW":
            heads = [made["W_qkv"].shape[1] - 2 * cfg.d_head, cfg.d_head, cfg.d_head]
            made["weight_dequant_scale_qkv"] = np.repeat(made["weight_dequant_scale_qkv"], heads, axis=1)
            if made["W_out"] is not None:
                made["weight_dequant_scale_out"] = np.repeat(made["weight_dequant_scale_out"], cfg.H, axis=1)
        return made

    def cut(base: Any, ranks: int, q_heads: int, d_head: int, *more: Any) -> Any:
        if base["quantization_type_qkv"].name == "ROW":  # all columns of q have one scale
            base["weight_dequant_scale_qkv"] = base["weight_dequant_scale_qkv"][:, -(q_heads + 2) * d_head :].copy()
        return per_rank(base, ranks, q_heads, d_head, *more)

    suite.generate_kernel_inputs, suite._create_per_rank_inputs = generate, cut


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Once the test files have imported the kernels and the generator."""
    mend()
    golden: Any = sys.modules.get("test.utils.mx_utils")
    if golden is not None:
        golden.np = SimpleNamespace(**{**vars(np), "einsum": partial(np.einsum, optimize=True)})
    for module in loaded(BLOCK_TESTS):
        scaled_by_column(module)
    suite = sys.modules.get("test.integration.nkilib.utils.tensor_generators")
    if suite is None:
        return
    original = getattr(suite, GENERATOR)
    for module in list(sys.modules.values()):
        if getattr(module, GENERATOR, None) is original:
            setattr(module, GENERATOR, stabilized(suite, original))
