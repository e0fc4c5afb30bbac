"""copy and memset: conversions against ml_dtypes and numpy, every small bit pattern."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from tests.native.harness import BFLOAT16, DTYPES, FLOATS, INTEGERS, View, call, execute, native, same, spec


def every_float() -> np.ndarray:
    """Random bit patterns, all 16-bit prefixes, and the ties and neighbours of every small format."""
    rng = np.random.default_rng(3)
    patterns = [rng.integers(0, 2**32, 200_000, dtype=np.uint64).astype(np.uint32)]
    patterns.append(np.arange(2**16, dtype=np.uint32) << 16)
    exact = np.concatenate([np.arange(256, dtype=np.uint8).view(t).astype(np.float32) for t in FLOATS[3:]])
    middle = np.concatenate([exact, exact * np.float32(1.0625), exact * np.float32(1.125), exact * np.float32(1.03125)])
    near = middle.view(np.uint32)
    patterns += [near, near + 1, near - 1]
    return np.concatenate(patterns).view(np.float32)


def saturated(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """To nearest even, saturating, NaN to 0."""
    info = np.iinfo(dtype)
    whole = np.rint(np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=1e30, neginf=-1e30))
    return np.clip(whole, info.min, info.max).astype(np.int64).astype(dtype)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_float32_rounds_like_ml_dtypes(dtype):
    values = every_float()
    result = call("copy", (values.shape, dtype), [values])
    assert same(result, values.astype(dtype))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", FLOATS[1:], ids=str)
def test_nans_are_those_of_ml_dtypes(dtype):
    values = np.array([np.nan, -np.nan], np.float32)
    width = f"u{dtype.itemsize}"
    assert np.array_equal(call("copy", ((2,), dtype), [values]).view(width), values.astype(dtype).view(width))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_float32_to_integers(dtype):
    edges = np.array(
        [2.0**31, 2.0**31 - 128, -(2.0**31), -(2.0**31) - 256, 2.0**32, 2.0**32 - 256, 0.5, 1.5, 2.5, -0.5], np.float32
    )
    values = np.concatenate([every_float(), edges, np.arange(-70000, 70000, dtype=np.float32) / 2])
    assert np.array_equal(call("copy", (values.shape, dtype), [values]), saturated(values, dtype))


def test_float32_to_bool_is_nonzero():
    values = np.array([0.0, -0.0, 0.1, -3.0, np.nan, np.inf], np.float32)
    assert call("copy", ((6,), np.bool_), [values]).tolist() == [False, False, True, True, True, True]


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
def test_everything_small_to_float32(dtype):
    count = min(2 ** (8 * dtype.itemsize), 2**16)
    values = np.arange(count, dtype=f"u{min(dtype.itemsize, 2)}")
    if dtype.itemsize == 4:
        values = np.random.default_rng(0).integers(0, 2**32, count, dtype=np.uint64).astype(np.uint32)
    values = (values & 1 if dtype == np.bool_ else values).view(dtype)
    assert same(call("copy", ((count,), np.float32), [values]), values.astype(np.float32))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("source", FLOATS[1:], ids=str)
@pytest.mark.parametrize("target", DTYPES[:12], ids=str)
def test_small_floats_to_everything(source, target):
    values = np.arange(2 ** (8 * source.itemsize), dtype=f"u{source.itemsize}").view(source)
    result = call("copy", (values.shape, target), [values])
    wide = values.astype(np.float32)
    assert same(result, wide.astype(target) if target in FLOATS else saturated(wide, target))


@pytest.mark.parametrize("source", INTEGERS, ids=str)
@pytest.mark.parametrize("target", INTEGERS, ids=str)
def test_integers_of_one_width_keep_their_bits(source, target):
    values = np.random.default_rng(1).integers(0, 256, 4096, dtype=np.uint8).view(source)
    result = call("copy", (values.shape, target), [values])
    if source.itemsize == target.itemsize:
        assert np.array_equal(result.view(np.uint8), values.view(np.uint8))
    else:
        assert np.array_equal(result, saturated(values.astype(np.float32), target))


def test_tfloat32_rounds_to_ten_mantissa_bits():
    values = np.random.default_rng(2).integers(0, 2**32, 10_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    tf32 = 13
    block, out = native.Block.wrap(values.view(np.uint8), 4), native.Block(values.nbytes, 4)
    plan = native.plan("copy", [(tf32, values.shape, (1,), "out"), spec(values.shape, np.float32, "in")], [], [])
    assert execute(plan, View(out, 0), View(block, 0)) == 1
    finite = np.isfinite(values) & (np.abs(values) < 3e38) & (np.abs(values) > 1e-37)
    mantissa, exponent = np.frexp(values[finite].astype(np.float64))
    expected = np.ldexp(np.rint(mantissa * 2**11), exponent - 11)
    assert np.array_equal(out.array.view(np.float32)[finite], expected.astype(np.float32))


@pytest.mark.parametrize("dtype", DTYPES[:12], ids=str)
def test_memset_with_a_float(dtype):
    result = call("memset", ((5, 7), dtype), [], (), (2.5,))
    assert same(result, np.full((5, 7), 2.5 if dtype in FLOATS else 2, np.float32).astype(dtype))


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_memset_with_an_integer(dtype):
    low_bits = np.array([0x12345681], np.uint32).view(dtype)[0]
    assert np.all(call("memset", ((5, 7), dtype), [], (0x12345681,)) == low_bits)


def test_copy_of_bits_keeps_nan_payloads():
    raw = np.random.default_rng(4).integers(0, 2**16, 5000, dtype=np.uint16)
    assert np.array_equal(call("copy", (raw.shape, BFLOAT16), [raw.view(ml_dtypes.bfloat16)]).view(np.uint16), raw)
