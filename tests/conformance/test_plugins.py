"""The plugins that stand between nki-library's harness and a launch."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.conformance import mended, older, packed

import opentrn.nki as nki
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.numerics.dtypes import PACKED_VOID


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
