"""numerics.casts against ml_dtypes, Python's own rounding and exact fractions."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrn.errors import UnsupportedError
from opentrn.numerics.casts import convert, from_f32, stored_f32, to_f32
from opentrn.numerics.dtypes import DTYPES

SMALL = ("float8_e4m3", "float8_e5m2", "float8_e4m3fn", "float8_e8m0fnu")
NARROW = ("bfloat16", "float16", *SMALL)
INTEGERS = ("int32", "uint32", "int16", "uint16", "int8", "uint8")


def every_value(name):
    d = DTYPES[name]
    return np.arange(256**d.itemsize, dtype=f"u{d.itemsize}").view(d.carrier)


def hard_floats():
    """Every upper half of a float32 with lower halves around the ties, and 200,000 random bit patterns (seed 1)."""
    upper = np.arange(65536, dtype=np.uint32)[:, None] << 16
    lower = np.array([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF, 0x0FFF, 0x1000, 0x1001, 0x3000, 0x5000], np.uint32)
    random = np.random.default_rng(1).integers(0, 2**32, 200_000, np.uint32)
    return np.concatenate([(upper | lower).ravel(), random]).view(np.float32)


def same(got, want):
    """Equal values, equal signs (zeros and NaN included)."""
    with np.errstate(invalid="ignore"):
        g, w = got.astype(np.float64), want.astype(np.float64)
    return np.array_equal(g, w, equal_nan=True) and np.array_equal(np.signbit(g), np.signbit(w))


@pytest.mark.parametrize("name", NARROW)
def test_every_narrow_value_to_f32_and_back(name):
    a = every_value(name)
    with np.errstate(invalid="ignore"):
        want = a.astype(np.float32)
    wide = to_f32(a, DTYPES[name])
    assert wide.dtype == np.float32
    assert same(wide, want)
    assert same(from_f32(wide, DTYPES[name]), a)


@pytest.mark.parametrize("name", NARROW)
def test_from_f32_rounds_as_ml_dtypes(name):
    x = hard_floats()
    with np.errstate(all="ignore"):
        want = x.astype(DTYPES[name].carrier)
    got = from_f32(x, DTYPES[name])
    assert got.dtype == want.dtype
    number = ~np.isnan(x)
    assert got[number].tobytes() == want[number].tobytes()
    assert np.isnan(got[~number].astype(np.float32)).all()


@pytest.mark.parametrize("name", ["bfloat16", *SMALL])
def test_nan_is_the_one_of_ml_dtypes(name):
    nans = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFF812345], np.uint32).view(np.float32)
    with np.errstate(invalid="ignore"):
        want = nans.astype(DTYPES[name].carrier)
    assert from_f32(nans, DTYPES[name]).tobytes() == want.tobytes()


def test_float16_and_tfloat32_nan_keep_only_the_sign():
    nans = np.array([0x7FC12345, 0xFF800001], np.uint32).view(np.float32)
    assert from_f32(nans, DTYPES["float16"]).view(np.uint16).tolist() == [0x7E00, 0xFE00]
    assert from_f32(nans, DTYPES["tfloat32"]).view(np.uint32).tolist() == [0x7FC00000, 0xFFC00000]


@pytest.mark.parametrize(
    ("name", "largest", "too_large", "becomes"),
    [
        ("float8_e4m3", 240, 249, np.inf),
        ("float8_e5m2", 57344, 61441, np.inf),
        ("float8_e4m3fn", 448, 465, np.nan),
        ("float16", 65504, 65520, np.inf),
    ],
)
def test_overflow(name, largest, too_large, becomes):
    x = np.array([largest, too_large, -too_large, np.inf], np.float32)
    got = from_f32(x, DTYPES[name]).astype(np.float32)
    np.testing.assert_array_equal(got, np.float32([largest, becomes, -becomes, becomes]))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_tfloat32_is_the_nearest_with_ten_bits(value):
    got = from_f32(np.float32([value]), DTYPES["tfloat32"])
    assert got.view(np.uint32)[0] & 0x1FFF == 0
    if np.isfinite(got[0]):
        step = Fraction(2) ** (max(int(np.frexp(np.float64(value))[1]) - 1, -126) - 10)
        steps = Fraction(value) / step
        assert Fraction(float(got[0])) == round(steps) * step  # Python rounds halves to even
        assert np.signbit(got[0]) == np.signbit(value)
    else:
        assert abs(value) >= DTYPES["tfloat32"].max + 2.0**116


def test_tfloat32_around_every_tie():
    """All sixteen ends of the kept bits, at, just below and just above the middle of the thirteen cut ones."""
    kept = np.arange(0x3F800000 >> 13, (0x3F800000 >> 13) + 16, dtype=np.uint32)[:, None]
    cut = np.array([0, 1, 0xFFF, 0x1000, 0x1001, 0x1FFF], np.uint32)
    x = (kept << 13 | cut).view(np.float32)
    want = kept + np.where(cut == 0x1000, kept & 1, cut > 0x1000)
    got = from_f32(np.stack([x, -x]), DTYPES["tfloat32"])
    assert np.array_equal(got[0].view(np.uint32) >> 13, want)
    assert np.array_equal(got[1], -got[0])


def nearest_integer(value, d):
    if np.isnan(value):
        return 0
    return max(d.min, min(d.max, round(value))) if np.isfinite(value) else (d.max if value > 0 else d.min)


@pytest.mark.parametrize("name", INTEGERS)
def test_to_integer_rounds_to_even_and_saturates(name):
    d = DTYPES[name]
    edges = [0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997, np.inf, -np.inf, np.nan, -0.0, 3e38, -3e38]
    for limit in (d.min, d.max, d.max + 1, 2**24, 2**31, 2**32):
        here = np.float32(limit)
        edges += [here, np.nextafter(here, np.float32(-np.inf)), np.nextafter(here, np.float32(np.inf)), here - 0.5]
    random = np.random.default_rng(2).standard_normal(2000) * 10.0 ** np.random.default_rng(3).integers(0, 11, 2000)
    x = np.concatenate([edges, random]).astype(np.float32)
    got = from_f32(x, d)
    assert got.dtype == d.carrier
    assert got.tolist() == [nearest_integer(float(v), d) for v in x]


@pytest.mark.parametrize("name", INTEGERS)
def test_integer_to_f32_rounds_to_even(name):
    d = DTYPES[name]
    edges = [v for v in (d.min, d.max, 0, 1, 2**24 + 1, 2**24 + 3, 2**31 - 65) if d.min <= v <= d.max]
    a = np.array([*edges, *np.random.default_rng(4).integers(d.min, d.max + 1, 1000)], d.carrier)
    # float64 holds every 32-bit integer, so this rounds once, as torch and C do
    assert np.array_equal(to_f32(a, d), a.astype(np.float64).astype(np.float32))


def test_bool():
    b = DTYPES["bool"]
    assert from_f32(np.float32([0, -0.0, 0.1, -3, np.nan]), b).tolist() == [0, 0, 1, 1, 1]
    assert to_f32(np.array([0, 1, 7], np.uint8), b).tolist() == [0.0, 1.0, 1.0]
    assert to_f32(np.array([True, False]), b).tolist() == [1.0, 0.0]


def test_shape_survives_and_inputs_are_not_written():
    strided = np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::-2]
    before = strided.copy()
    for d in DTYPES.values():
        if d.kind != "packed":
            rng = np.random.default_rng(0)
            for x in (strided, np.array(1.0, np.float32), strided[:0]):
                for held in (from_f32(x, d), from_f32(x, d, stochastic=rng)):
                    back = to_f32(held, d)
                    assert isinstance(held, np.ndarray)
                    assert isinstance(back, np.ndarray)
                    assert held.shape == back.shape == x.shape
                    assert held.dtype == d.carrier
                    assert back.dtype == np.float32
    assert np.array_equal(strided, before)


def test_narrow_cast_of_a_strided_array_of_several_blocks():
    x = np.random.default_rng(1).standard_normal((500, 400)).astype(np.float32)
    for name in SMALL[:3]:
        d = DTYPES[name]
        assert from_f32(x[::2].T, d).tobytes() == x[::2].T.astype(d.carrier).tobytes()


def test_equal_types_and_equal_widths_copy_bits():
    half = np.array([0x7FA1, 0xFF81], np.uint16).view(ml_dtypes.bfloat16)
    assert convert(half, DTYPES["bfloat16"], DTYPES["bfloat16"]).view(np.uint16).tolist() == [0x7FA1, 0xFF81]
    large = np.array([2**31 - 1, -1], np.int32)
    assert convert(large, DTYPES["int32"], DTYPES["uint32"]).tolist() == [2**31 - 1, 2**32 - 1]
    assert convert(np.array([2**24 + 1], np.int32), DTYPES["int32"], DTYPES["int32"]).tolist() == [2**24 + 1]
    packed = np.array([0xDEADBEEF], np.uint32)
    assert convert(packed, DTYPES["float8_e5m2_x4"], DTYPES["float8_e5m2_x4"]).tolist() == [0xDEADBEEF]


def test_other_conversions_go_through_float32():
    assert convert(np.array([300, -300], np.int16), DTYPES["int16"], DTYPES["int8"]).tolist() == [127, -128]
    assert convert(np.array([2**31 - 1], np.int32), DTYPES["int32"], DTYPES["float32"]).tolist() == [2.0**31]
    x = np.array([1.0 + 2.0**-11], np.float32)
    assert convert(x, DTYPES["float32"], DTYPES["tfloat32"]).tolist() == [1.0]


@pytest.mark.parametrize("name", [n for n, d in DTYPES.items() if d.kind == "packed"])
def test_packed_types_are_refused(name):
    with pytest.raises(UnsupportedError, match=name):
        to_f32(np.zeros(1, DTYPES[name].carrier), DTYPES[name])
    with pytest.raises(UnsupportedError, match=name):
        from_f32(np.zeros(1, np.float32), DTYPES[name])


def neighbours(value, d):
    """The two values of the type around `value`, found in the list of all its values."""
    with np.errstate(all="ignore"):
        known = every_value(d.name).astype(np.float64)
    known = np.unique(known[np.isfinite(known)])
    return known[known <= value].max(), known[known >= value].min()


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float8_e4m3", "float8_e5m2", "float8_e4m3fn"])
@pytest.mark.parametrize("value", [1.03, -1.23, 3.3e-3, 5.2e-6, 100.3])
def test_stochastic_rounding_is_unbiased_between_the_neighbours(name, value):
    d = DTYPES[name]
    draws = 40_000
    x = np.full(draws, value, np.float32)
    got = from_f32(x, d, stochastic=np.random.default_rng(5)).astype(np.float64)
    low, high = neighbours(float(x[0]), d)
    assert set(np.unique(got)) <= {low, high}
    up = (float(x[0]) - low) / (high - low) if high > low else 0.0
    assert abs(np.mean(got == high) - up) < 5 * np.sqrt(max(up * (1 - up), 1e-4) / draws) or high == low


def test_stochastic_rounding_of_tfloat32_cuts_thirteen_bits():
    x = np.full(40_000, np.uint32(0x3F800400).view(np.float32))
    got = from_f32(x, DTYPES["tfloat32"], stochastic=np.random.default_rng(6)).view(np.uint32)
    assert set(got.tolist()) == {0x3F800000, 0x3F802000}
    assert abs(np.mean(got == 0x3F802000) - 0x400 / 0x2000) < 0.01


@pytest.mark.parametrize("name", ["float32", "tfloat32", *NARROW])
def test_stochastic_rounding_keeps_what_the_type_holds(name):
    d = DTYPES[name]
    x = hard_floats() if name == "float32" else to_f32(from_f32(hard_floats(), d), d)
    assert same(to_f32(from_f32(x, d, stochastic=np.random.default_rng(7)), d), x)


def test_stochastic_rounding_repeats_with_its_seed_and_leaves_integers_alone():
    x = np.random.default_rng(8).standard_normal(1000).astype(np.float32)
    first, second = (from_f32(x, DTYPES["bfloat16"], stochastic=np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, from_f32(x, DTYPES["bfloat16"]))
    assert from_f32(np.full(99, 0.4, np.float32), DTYPES["int8"], stochastic=np.random.default_rng(1)).max() == 0


@pytest.mark.parametrize(
    ("number", "stored"),
    [(0.1, float(np.float32(0.1))), (-3.4028235e38, float(np.finfo(np.float32).min)), (3.4028236e38, np.inf), (-(10**400), -np.inf),
     (-np.inf, -np.inf), (7, 7.0)],
)  # fmt: skip
def test_a_number_as_float32_holds_it(number, stored):
    assert stored_f32(number) == stored
