"""memset: rules by label, the filled bits against struct and ml_dtypes, native core against the meaning."""

from __future__ import annotations

import struct

import ml_dtypes
import numpy as np
import pytest
from harness import bits, cast, native_equals_meaning, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from prices import price, vector_ns
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import MemoryFault

CASE = {"dst": out((16, 24)), "value": 1.5}
FLOATS = ["float32", "bfloat16", "float16", "float8_e4m3", "float8_e5m2"]
INTEGERS = ["int32", "uint32", "int16", "uint16", "int8", "uint8"]
PACKED = ["float8_e4m3fn_x4", "float8_e5m2_x4", "float4_e2m1fn_x4"]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_c1_accepts_an_int_into_integers(dtype):
    assert (result("memset", dst=out((4, 8), dtype), value=2) == 2).all()


def test_c1_accepts_an_int_into_floats():
    assert (result("memset", dst=out((4, 8)), value=127) == 127.0).all()
    assert (result("memset", dst=out((4, 8), "bfloat16"), value=np.int64(3)).astype(np.float32) == 3).all()


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_c1_refuses_a_float_into_integers(dtype):
    error = refused("memset", "c1", dst=out((4, 8), dtype), value=2.5)
    assert error.hint == "write 2"
    refused("memset", "c1", dst=out((4, 8), dtype), value=np.float32(0.5))
    assert refused("memset", "c1", dst=out((4, 8), dtype), value=float("-inf")).hint is None


@pytest.mark.parametrize("dtype", [*INTEGERS, "bool"])
def test_c1_accepts_a_whole_number_as_a_float_as_before_nki_0_3(dtype):
    """The NKI 0.3.0 release notes call value=2.0 for an integer tile an error; AWS's kernels of that SDK still write it."""
    with pytest.warns(DeprecationWarning, match="write 1"):
        got = result("memset", dst=out((4, 7), dtype), value=1.0)
    assert (got == 1).all()


@pytest.mark.parametrize("dtype", PACKED)
def test_c2_accepts_zero_into_packed_types(dtype):
    for zero in (0, 0.0):
        assert not result("memset", target="trn3", dst=out((4, 8), dtype), value=zero).view(np.uint8).any()


@pytest.mark.parametrize("dtype", PACKED)
def test_c2_refuses_other_values_into_packed_types(dtype):
    refused("memset", "c2", target="trn3", dst=out((4, 8), dtype), value=1)


def test_c3_accepts_the_ends_of_the_range():
    for dtype in INTEGERS:
        for end in (np.iinfo(dtype).min, np.iinfo(dtype).max):
            assert (result("memset", dst=out((2, 3), dtype), value=int(end)) == end).all()
    for value in (float("inf"), float("-inf"), float(np.finfo(np.float32).min)):
        assert (result("memset", dst=out((2, 3)), value=value) == value).all()
    assert np.isnan(result("memset", dst=out((2, 3)), value=float("nan"))).all()
    assert (result("memset", dst=out((2, 3), "bool"), value=True) == 1).all()


@pytest.mark.parametrize("value", [-3.4028235e38, 3.4028235e38])
def test_c3_accepts_the_end_of_float32_in_decimals(value):
    """As a double 3.4028235e38 is a little more than the largest float32, which it becomes when it is stored."""
    assert np.all(result("memset", dst=out((2, 3)), value=value) == np.float32(value))


def test_c3_refuses_values_out_of_range():
    refused("memset", "c3", dst=out((2, 3), "uint8"), value=-1)
    refused("memset", "c3", dst=out((2, 3), "int16"), value=2**15)
    refused("memset", "c3", dst=out((2, 3), "int32"), value=0xFFFFFFFF)
    refused("memset", "c3", dst=out((2, 3), "bool"), value=2)
    refused("memset", "c3", dst=out((2, 3), "bfloat16"), value=1e39)
    refused("memset", "c3", dst=out((2, 3)), value=3.4028236e38)
    refused("memset", "c3", dst=out((2, 3)), value=-(10**400))


def test_c4_accepts_psum_on_vector_and_sbuf_on_gpsimd():
    assert (result("memset", dst=out((4, 8), region=nl.psum), value=2.5, engine=nisa.engine.vector) == 2.5).all()
    assert (result("memset", **CASE, engine=nisa.engine.gpsimd) == 1.5).all()


def test_c4_refuses_psum_on_gpsimd():
    refused("memset", "c4", dst=out((4, 8), region=nl.psum), value=0.0, engine=nisa.engine.gpsimd)


def test_the_public_example_fills_float32_with_two_tenths():
    """nki/test/test_nki_isa_memset.py: a 128 x 128 float32 tile of 0.2."""
    assert bits(result("memset", dst=out((128, 128)), value=0.2)).tobytes() == struct.pack("<f", 0.2) * 128 * 128


def test_the_lowest_float32_becomes_minus_infinity_in_bfloat16():
    got = result("memset", dst=out((2, 2), "bfloat16"), value=float(np.finfo(np.float32).min))
    assert (got == ml_dtypes.bfloat16("-inf")).all()


def test_only_the_view_is_written():
    base = np.arange(32, dtype=np.float32).reshape(4, 8)
    got = result("memset", dst=sbuf(base).seen(lambda t: t[:, 1:7:2]), value=9.0)
    want = [[9.0 if c in (1, 3, 5) else float(8 * p + c) for c in range(8)] for p in range(4)]
    assert got.tolist() == want


def test_what_is_outside_the_view_stays_unwritten():
    def kernel(x):
        tile = nl.ndarray((4, 8), dtype=nl.float32, buffer=nl.sbuf)
        nisa.memset(tile[:, :7], 0.0)
        nisa.tensor_scalar(tile, tile, nl.add, 1.0)
        nisa.dma_copy(dst=x, src=tile)
        return x

    with pytest.raises(MemoryFault, match="never written"):
        opentrn.run(kernel)(np.zeros((4, 8), np.float32))


VALUES = st.one_of(
    st.floats(width=32), st.sampled_from([0.0, -0.0, float("inf"), float("nan"), 240.0, 300.0, 1e-8, 65520.0])
)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(FLOATS), st.sampled_from(KINDS), st.sampled_from([1, 3, 128]), st.integers(1, 9), VALUES)
def test_meaning_of_floats(dtype, kind, rows, columns, value):
    seen = window(kind, rows, columns)
    got = result("memset", dst=sbuf(np.zeros(seen.shape), dtype).seen(seen.view), value=value)
    with np.errstate(all="ignore"):
        want = np.zeros(seen.shape, cast(0, dtype).dtype)
        seen.look(want)[...] = cast(np.frombuffer(struct.pack("<f", value), np.float32), dtype)[0]
    assert np.array_equal(bits(got), bits(want))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(INTEGERS), st.sampled_from(KINDS), st.sampled_from([1, 3, 128]), st.integers(1, 9), st.data())
def test_meaning_of_integers(dtype, kind, rows, columns, data):
    ends = np.iinfo(dtype)
    value = data.draw(st.integers(int(ends.min), int(ends.max)))
    seen = window(kind, rows, columns)
    want = np.ones(seen.shape, dtype)
    got = result("memset", dst=sbuf(want.copy()).seen(seen.view), value=value)
    seen.look(want)[...] = value
    assert got.tobytes() == want.tobytes()


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from([*FLOATS, *INTEGERS, "bool", "tfloat32"]), st.sampled_from(KINDS), st.integers(1, 40),
    st.sampled_from([0, 1, 0.1, -2.7, 1e30, float("nan"), float("-inf")]),
)  # fmt: skip
def test_native_equals_meaning(dtype, kind, columns, value):
    seen = window(kind, 5, columns)
    if dtype in INTEGERS or dtype == "bool":
        value = int(value == 1)
    native_equals_meaning("memset", dst=psum(np.ones(seen.shape), dtype).seen(seen.view), value=value)


def test_the_cost_on_each_engine():
    """Two elements per cycle on the Vector Engine at 0.96 GHz (kernel-optimization.rst profiles)."""
    case = {"dst": out((128, 512)), "value": 0.0}
    assert price("memset", **case).busy_ns == pytest.approx(vector_ns(256))
    slow = price("memset", **case, engine=nisa.engine.gpsimd)
    assert slow.engine == "gpsimd" and slow.busy_ns > vector_ns(256)
