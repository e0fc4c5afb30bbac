"""The plugins that stand between nki-library's harness and a launch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.conformance import mended, older, packed, to_scale

import opentrn.nki as nki
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.numerics.dtypes import PACKED_VOID

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", PACKED_VOID)
def test_a_packed_result_refuses_a_cast_as_the_harness_expects(name: str) -> None:
    held = np.arange(6, dtype=f"u{PACKED_VOID[name].itemsize}")
    arrays = packed.as_packed({"packed": held.view(name), "plain": held})
    assert np.array_equal(arrays["plain"].astype(np.float32), held)
    with pytest.raises(TypeError, match=name):
        arrays["packed"].astype(np.float32)
    assert np.array_equal(arrays["packed"].view(held.dtype).astype(np.int64), held)  # how the harness unpacks
    assert np.array_equal(arrays["packed"].astype(name).view(held.dtype), held)


@nki.jit
def _quantized(x: Any) -> tuple[Any, ...]:
    rows, columns = x.shape
    source = nl.ndarray((rows, columns), dtype=x.dtype, buffer=nl.sbuf)
    values = nl.ndarray((rows, columns // 4), dtype=nl.float8_e4m3fn_x4, buffer=nl.sbuf)
    scales = nl.ndarray((rows, columns // 4), dtype=nl.uint8, buffer=nl.sbuf)
    nisa.dma_copy(dst=source, src=x)
    nisa.quantize_mx(src=source, dst=values, dst_scale=scales)
    outs = [nl.ndarray(tile.shape, dtype=tile.dtype, buffer=nl.shared_hbm) for tile in (values, scales)]
    for out, tile in zip(outs, (values, scales), strict=True):
        nisa.dma_copy(dst=out, src=tile)
    return tuple(outs)


def test_as_nki_04_scales_are_halved_and_memory_that_nothing_wrote_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn3")
    x = np.random.default_rng(1).standard_normal((32, 8)).astype("float16")
    _, today = _quantized(x)
    _, before = older.launch(_quantized, (x,), {}, {}).results
    assert np.array_equal(before[:4], today[:4] - 1)
    assert (today[4:] == 4).all() and not before[4:].any()


def test_a_called_module_becomes_its_function(monkeypatch: pytest.MonkeyPatch) -> None:
    helper, kernel, other = (ModuleType(name) for name in (mended.FUNCTION, "qkv_cte", "other"))
    setattr(helper, mended.FUNCTION, len)
    for module in (kernel, other):
        setattr(module, mended.FUNCTION, helper)
    monkeypatch.setitem(sys.modules, "nkilib.core.qkv.qkv_cte", kernel)
    monkeypatch.setitem(sys.modules, "nkilib.core.other", other)
    assert mended.mend() == ["nkilib.core.qkv.qkv_cte"]
    assert getattr(kernel, mended.FUNCTION) is len and getattr(other, mended.FUNCTION) is helper
    assert mended.mend() == []


def test_the_largest_of_a_group_of_mx_inputs_fixes_its_scale() -> None:
    np.random.seed(0)
    values = mended.largest_first((64, 40), 448.0, 8)
    groups = np.abs(values).reshape(8, 8, 10, 4).transpose(0, 2, 1, 3)
    assert (groups.max((2, 3)) >= 256).all() and (groups < 448).all()
    assert ((groups >= 256) & (groups < 384)).any((2, 3)).all()
    assert 0.4 < (values < 0).mean() < 0.6


@pytest.mark.parametrize("quantized", ["ROW", "STATIC"])
def test_weights_quantized_by_rows_get_a_scale_per_column(quantized: str) -> None:
    kind = SimpleNamespace(name=quantized)
    cfg = SimpleNamespace(quantization_type=kind, q_heads=6, d_head=4, H=16)
    inputs = {
        "quantization_type_qkv": kind,
        "W_qkv": np.zeros((cfg.H, 8 * cfg.d_head)),
        "W_out": np.zeros((6 * cfg.d_head, cfg.H)),
        "weight_dequant_scale_qkv": np.broadcast_to([1.0, 2.0, 3.0], (128, 3)),
        "weight_dequant_scale_out": np.full((128, 1), 4.0),
    }
    suite = SimpleNamespace(
        generate_kernel_inputs=lambda cfg: dict(inputs), _create_per_rank_inputs=lambda *given: given[0]
    )
    mended.scaled_by_column(suite)
    made = suite.generate_kernel_inputs(cfg)
    of_rank = suite._create_per_rank_inputs(dict(made), 3, 2, cfg.d_head)["weight_dequant_scale_qkv"]
    if quantized == "STATIC":
        assert made["weight_dequant_scale_qkv"].shape == of_rank.shape == (128, 3)
        assert made["weight_dequant_scale_out"].shape == (128, 1)
        return
    assert made["weight_dequant_scale_qkv"][5].tolist() == 24 * [1.0] + 4 * [2.0] + 4 * [3.0]
    assert of_rank[5].tolist() == 8 * [1.0] + 4 * [2.0] + 4 * [3.0]  # two heads of q each
    assert made["weight_dequant_scale_out"].shape == (128, cfg.H)


@pytest.mark.parametrize("cached", [True, False])
def test_scales_that_fit_give_the_numbers_of_the_unquantized_test(cached: bool) -> None:
    rng = np.random.default_rng(0)
    weights = rng.uniform(-240, 240, (256, 96)).astype(np.float32)
    inputs = {
        "weight_dequant_scale_qkv": np.broadcast_to(np.float32([1.0, 2.0, 3.0]), (128, 3)),
        "input_dequant_scale_qkv": np.full((128, 1), 4.0, np.float32),
        "weight_dequant_scale_out": np.full((128, 1), 5.0, np.float32),
        "input_dequant_scale_out": None,
        "k_scale": np.full((1, 1), 100.0, np.float32) if cached else None,
        "softmax_scale": None,
        "W_qkv": weights,
    }
    made = to_scale.to_scale(inputs, 256, 64)
    assert made["weight_dequant_scale_qkv"].shape == (128, 3) and made["W_qkv"] is weights
    assert (weights * made["weight_dequant_scale_qkv"][0, 0]).std() == pytest.approx(1 / 16, rel=0.02)
    assert (weights * made["weight_dequant_scale_out"][0, 0]).std() == pytest.approx(0.5, rel=0.02)
    x = rng.uniform(-1, 1, (8, 256)) * 1.5
    normalized = x / (x / 1.5).std(axis=1, keepdims=True)
    assert 200 < np.abs(normalized / made["input_dequant_scale_qkv"][0, 0]).max() < 260
    assert made["input_dequant_scale_out"] is None
    assert made["softmax_scale"] == (pytest.approx(1 / 800) if cached else None)


def test_the_faster_normal_numbers_are_normal_and_follow_the_seed() -> None:
    np.random.seed(3)
    drawn = mended.normal(2.0, 60.0, (400, 500))
    assert drawn.mean() == pytest.approx(2, abs=0.5) and drawn.std() == pytest.approx(60, rel=0.01)
    assert (np.abs(drawn - 2) > 120).mean() == pytest.approx(0.0455, rel=0.05)
    np.random.seed(3)
    assert np.array_equal(mended.normal(2.0, 60.0, (400, 500)), drawn)


_HELD = """
import resource, sys
import numpy as np

def test_too_large():
    held = [np.ones(2**22) for _ in range(200)]

def test_after():
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY and not getattr(sys, "last_value", None)
    np.ones(2**24)

def test_pages_that_nobody_wrote():
    held = [np.empty(2**24) for _ in range(100)]
"""


def test_a_test_that_needs_more_than_the_limit_fails_and_the_next_has_all_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_held.py").write_text(_HELD)
    made = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "tests.conformance.resident",
            "-p",
            "no:cacheprovider",
            str(tmp_path),
        ],
        env={**os.environ, "OPENTRN_MEMORY": "1.5", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 2 passed" in made.stdout and "Unable to allocate 32.0 MiB" in made.stdout, (
        made.stdout + made.stderr
    )
