"""quantize_mx: rules by label, meaning against the formula one group at a time, scales beside other scales."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from harness import call, cast, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import MemoryFault
from opentrn.program.recorder import ACTIVE

RNG = np.random.default_rng(9)
X = RNG.standard_normal((32, 24)).astype(np.float32)
CASE = {"dst": out((32, 6), "float8_e4m3fn_x4"), "src": sbuf(X, "bfloat16"), "dst_scale": out((4, 6), "uint8")}
EMAX = {"float8_e4m3fn_x4": 8, "float8_e5m2_x4": 15}
HERE = CASE | {"target": "trn3"}


def one_group(values, packed):
    """(elements, code) of 32 float64 values: nisa.quantize_mx, "Scale calculation"."""
    largest = max(abs(float(v)) for v in values)
    power = math.frexp(largest)[1] - 1 - (EMAX[packed] - 1) if largest else -127
    power = max(power, -127)
    kind = getattr(ml_dtypes, packed.removesuffix("_x4"))
    scaled = np.array([float(v) / 2.0**power for v in values], np.float64).astype(np.float32)
    return scaled.astype(kind), power + 127


def expected(x, packed):
    """(P, F) values to ((P, F) bytes of elements, (P / 8, F / 4) codes), group by group."""
    partitions, elements = x.shape
    data, codes = np.zeros((partitions, elements), np.uint8), np.zeros((partitions // 8, elements // 4), np.uint8)
    for row in range(partitions // 8):
        for column in range(elements // 4):
            place = slice(8 * row, 8 * row + 8), slice(4 * column, 4 * column + 4)
            group, codes[row, column] = one_group(x[place].astype(np.float64).ravel(), packed)
            data[place] = group.view(np.uint8).reshape(8, 4)
    return data, codes


def scale_row(group):
    """Four rows at the start of each quadrant of 32 (mxfp-matmul.rst)."""
    return 32 * (group // 4) + group % 4


def test_it_exists_from_trn3_on():
    refused("quantize_mx", "target", target="trn2", **CASE)


def test_c1_accepts_whole_quadrants():
    for p in (32, 64, 96, 128):
        wide = {"dst": out((p, 1), "float8_e5m2_x4"), "src": sbuf(np.ones((p, 4)), "float16")}
        call("quantize_mx", **HERE | wide | {"dst_scale": out((p, 1), "uint8")})


def test_c1_refuses_other_sizes():
    refused("quantize_mx", "c1", **HERE | {"src": sbuf(X).typed("bfloat16").shaped(16, 24)})
    refused("quantize_mx", "c1", **HERE | {"src": sbuf(X).typed("bfloat16").shaped(32, 22)})


def test_c2_accepts_any_rank():
    data, _ = expected(cast(X, "bfloat16"), "float8_e4m3fn_x4")
    got = result(
        "quantize_mx", **HERE | {"dst": out((32, 2, 3), "float8_e4m3fn_x4"), "src": CASE["src"].shaped(32, 2, 3, 4)}
    )
    assert np.array_equal(got.view(np.uint8).reshape(32, 24), data)


def test_c2_refuses_other_sizes():
    refused("quantize_mx", "c2", **HERE | {"dst": out((32, 24), "float8_e4m3fn_x4")})


def test_c3_accepts_more_rows_than_needed():
    call("quantize_mx", **HERE | {"dst_scale": out((32, 6), "uint8")})


def test_c3_refuses_missing_rows_and_columns_and_other_places():
    refused("quantize_mx", "c3", **HERE | {"dst_scale": out((3, 6), "uint8")})
    refused("quantize_mx", "c3", **HERE | {"dst_scale": out((4, 7), "uint8")})
    refused("quantize_mx", "c3", **HERE | {"dst_scale": out((32, 6), "uint8").seen(lambda t: t[16:20])})
    refused("quantize_mx", "c3", **HERE | {"dst_scale": out((64, 6), "uint8").seen(lambda t: t[32:36])})
    two = {"dst": out((64, 6), "float8_e4m3fn_x4"), "src": CASE["src"].shaped(64, 24)}
    refused("quantize_mx", "c3", **HERE | two | {"dst_scale": out((8, 6), "uint8")})


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(EMAX)), st.sampled_from(["float16", "bfloat16"]), st.sampled_from(["uint8", "float8_e8m0fnu"]),
    st.sampled_from(KINDS), st.sampled_from([32, 64, 96, 128]), st.sampled_from([1, 2, 5]), st.integers(-14, 12),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning(packed, source, scales, kind, partitions, columns, magnitude, seed):
    rng, seen = np.random.default_rng(seed), window(kind, partitions, 4 * columns)
    values = rng.standard_normal(seen.shape) * 2.0 ** (magnitude + rng.integers(-3, 3, seen.shape))
    values[rng.random(seen.shape) < 0.1] = 0
    src = sbuf(np.clip(values, -6e4, 6e4), source)
    got = call("quantize_mx", target="trn3", dst=out((partitions, columns), packed), src=src.seen(seen.view),
               dst_scale=out((partitions, columns), scales))  # fmt: skip
    x = np.asarray(seen.look(src.data)).reshape(partitions, -1)
    data, codes = expected(x, packed)
    assert np.array_equal(np.ascontiguousarray(got["dst"]).view(np.uint8).reshape(partitions, -1), data)
    rows = [scale_row(g) for g in range(partitions // 8)]
    assert np.array_equal(got["dst_scale"][rows].view(np.uint8), codes)


@pytest.mark.parametrize("packed", sorted(EMAX))
def test_meaning_at_the_edges(packed):
    """Zeros get 2**-127; the scale is twice the OCP sample's, so the largest magnitudes round instead of saturating."""
    x = np.zeros((32, 8), np.float32)
    x[:, 4:] = 1.9921875
    x[8, 4] = 2.0**-30
    got = call("quantize_mx", **HERE | {"dst": out((32, 2), packed), "src": sbuf(x, "bfloat16"),
                                        "dst_scale": out((4, 2), "uint8")})  # fmt: skip
    assert got["dst_scale"].tolist() == [[0, 127 - EMAX[packed] + 1]] * 4
    kind = getattr(ml_dtypes, packed.removesuffix("_x4"))
    values = np.ascontiguousarray(got["dst"]).view(np.uint8).view(kind).astype(np.float32).reshape(32, 8)
    assert np.array_equal(values[:, :4], np.zeros((32, 4)))
    assert (values[:8, 4:] == 2.0 ** EMAX[packed]).all()  # 2 after division by the scale: the row rounded up


def test_a_slice_of_a_scale_buffer_leaves_its_neighbours():
    """NKI 0.6.0 release notes: a sliced scale view raised, or corrupted scales written before (mxfp-matmul.rst, packing)."""
    kept, x = {}, cast(RNG.standard_normal((4, 128, 12)), "bfloat16")

    def kernel(anchor):
        scales = nl.ndarray((128, 5), dtype=nl.uint8)
        for number, values in enumerate(x):
            src, dst = nl.ndarray((128, 12), dtype=nl.bfloat16), nl.ndarray((128, 3), dtype=nl.float8_e5m2_x4)
            ACTIVE.recorder.state.fill(src, values)
            nisa.quantize_mx(dst, src, scales[4 * number :, 1:4])
        for quadrant in (0, 32, 64, 96):
            kept[quadrant] = scales[quadrant : quadrant + 16, 1:4].numpy()
        nisa.dma_copy(dst=anchor, src=anchor)
        return anchor

    opentrn.run(kernel, target="trn3")(np.zeros((1, 1), np.float32))
    for number, values in enumerate(x):
        _, codes = expected(values, "float8_e5m2_x4")
        got = np.concatenate([kept[q][4 * number : 4 * number + 4] for q in (0, 32, 64, 96)])
        assert np.array_equal(got, codes)


@pytest.mark.parametrize("scales", ["uint8", "float8_e8m0fnu"])
def test_written_scales_and_the_rows_between_keep_what_they_held(scales):
    held = cast(np.full((64, 3), 2.0), scales)
    case = {"dst": out((64, 3), "float8_e5m2_x4"), "src": sbuf(np.ones((64, 12)), "bfloat16"), "dst_scale": sbuf(held)}
    got = result("quantize_mx", "dst_scale", target="trn3", **case)
    rows = [scale_row(g) for g in range(8)]
    others = [r for r in range(64) if r not in rows]
    assert np.array_equal(got[others], held[others]) and (got[rows].view(np.uint8) == 127 - 14).all()


def test_low_precision_kept_as_float32_gives_the_same(monkeypatch):
    """NKI_PRECISE_FP=0 keeps narrow floats as float32: e8m0 scales too."""
    monkeypatch.setenv("NKI_PRECISE_FP", "0")
    got = result("quantize_mx", "dst_scale", **HERE | {"dst_scale": out((4, 6), "float8_e8m0fnu")})
    _, codes = expected(X, "float8_e4m3fn_x4")
    assert np.array_equal(got.astype(np.float32), 2.0 ** (codes.astype(np.float32) - 127))


def test_a_group_with_nan_or_infinity_is_nan_and_alone():
    x = X.copy()
    x[3, 5], x[31, 23] = np.nan, np.inf
    got = call("quantize_mx", **HERE | {"src": sbuf(x, "bfloat16")})
    _, codes = expected(cast(X, "bfloat16"), "float8_e4m3fn_x4")
    codes[0, 1], codes[3, 5] = 255, 255
    assert np.array_equal(got["dst_scale"], codes)


def test_an_unwritten_source_raises():
    with pytest.raises(MemoryFault):
        call("quantize_mx", **HERE | {"src": out((32, 24), "bfloat16")})
