"""numerics.mx against ml_dtypes, byte order and the formula of nisa.quantize_mx with exact fractions."""

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from opentrn.errors import DTypeError, UnsupportedError
from opentrn.numerics import mx
from opentrn.numerics.casts import to_f32
from opentrn.numerics.dtypes import DTYPES
from opentrn.numerics.latitude import ordinary, taken, taking

PACKED = ("float8_e5m2_x4", "float8_e4m3fn_x4", "float4_e2m1fn_x4")
WRITTEN = {"float8_e5m2_x4": (15, ml_dtypes.float8_e5m2), "float8_e4m3fn_x4": (8, ml_dtypes.float8_e4m3fn)}


def test_the_first_element_is_lowest():
    eight = np.array([0x44332211], np.uint32)
    assert mx.unpack(eight, DTYPES["float8_e5m2_x4"]).view(np.uint8).tolist() == [0x11, 0x22, 0x33, 0x44]
    four = np.array([0x4321], np.uint16)
    assert mx.unpack(four, DTYPES["float4_e2m1fn_x4"]).view(np.uint8).tolist() == [1, 2, 3, 4]
    assert mx.unpack_f32(four, DTYPES["float4_e2m1fn_x4"]).tolist() == [0.5, 1.0, 1.5, 2.0]


@pytest.mark.parametrize("name", PACKED)
def test_round_trip_and_values(name):
    d = DTYPES[name]
    a = np.random.default_rng(1).integers(0, 256**d.itemsize, (3, 5), d.carrier)
    elements = mx.unpack(a, d)
    assert (elements.shape, elements.dtype) == ((3, 20), d.packed_element.carrier)
    assert np.array_equal(mx.pack(elements, d), a)
    assert mx.pack(elements, d).dtype == d.carrier
    np.testing.assert_array_equal(mx.unpack_f32(a, d), elements.astype(np.float32))
    assert np.array_equal(mx.unpack(a.view(np.dtype(name)), d).view(np.uint8), elements.view(np.uint8))


@pytest.mark.parametrize("name", PACKED)
def test_pack_every_element(name):
    d = DTYPES[name]
    count = 16 if name.startswith("float4") else 256
    elements = np.arange(count, dtype=np.uint8).view(d.packed_element.carrier)
    assert mx.unpack(mx.pack(elements, d), d).view(np.uint8).tolist() == list(range(count))


def test_what_cannot_be_packed():
    d = DTYPES["float8_e5m2_x4"]
    with pytest.raises(DTypeError, match="fours"):
        mx.pack(np.zeros(6, ml_dtypes.float8_e5m2), d)
    with pytest.raises(DTypeError, match="float32"):
        mx.pack(np.zeros(4, np.float32), d)
    with pytest.raises(DTypeError, match="no packed type"):
        mx.unpack(np.zeros(4, np.float32), DTYPES["float32"])


def test_scales_are_every_value_of_e8m0():
    codes = np.arange(256, dtype=np.uint8)
    want = [math.ldexp(1.0, code - 127) for code in range(255)]
    got = mx.scale_values(codes)
    assert got[:255].astype(np.float64).tolist() == want
    assert np.isnan(got[255])
    np.testing.assert_array_equal(mx.scale_values(codes.view(ml_dtypes.float8_e8m0fnu)), got)
    np.testing.assert_array_equal(to_f32(codes.view(ml_dtypes.float8_e8m0fnu), DTYPES["float8_e8m0fnu"]), got)
    assert mx.scale_codes(np.array([-300, -127, 0, 127, 300])).tolist() == [0, 0, 127, 254, 254]


def floor_log2(value):
    """Of a positive Fraction, without logarithms."""
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return exponent if Fraction(2) ** exponent <= value else exponent - 1


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("source", [np.float16, ml_dtypes.bfloat16])
def test_quantize_follows_the_formula(name, source):
    largest_exponent, element = WRITTEN[name]
    rng = np.random.default_rng(2)
    low, high = (-20, 15) if source is np.float16 else (-130, 127)
    x = rng.standard_normal((400, 32)) * 2.0 ** rng.integers(low, high, (400, 1)) * 0.2
    x = x.astype(source).astype(np.float32)
    elements, codes = mx.quantize(x, DTYPES[name])
    assert (elements.dtype, codes.dtype, codes.shape) == (np.dtype(element), np.uint8, (400,))
    for row, code, quantized in zip(x, codes, elements, strict=True):
        exponent = floor_log2(Fraction(float(np.abs(row).max()))) - (largest_exponent - 1)
        assert code == max(exponent, -127) + 127
        scaled = [float(Fraction(float(v)) / Fraction(2) ** (int(code) - 127)) for v in row]
        assert quantized.tolist() == np.array(scaled).astype(np.float32).astype(element).tolist()


@pytest.mark.parametrize("name", WRITTEN)
def test_nothing_saturates(name):
    """Twice the OCP scale leaves room for the largest value to round up."""
    x = np.full((1, 32), 1.9921875, np.float32)
    elements, codes = mx.quantize(x, DTYPES[name])
    back = elements.astype(np.float32) * mx.scale_values(codes)[:, None]
    assert back.tolist() == np.full((1, 32), 2.0).tolist()


@pytest.mark.parametrize("name", WRITTEN)
def test_the_scale_of_older_releases_is_half_and_its_largest_values_are_clamped(name):
    element = WRITTEN[name][1]
    most = float(ml_dtypes.finfo(element).max)
    x = np.random.default_rng(3).standard_normal((64, 32)).astype(np.float32)
    x[0] = 1.9921875
    new = mx.quantize(x, DTYPES[name])[1]
    with taking("mx_scale", np.random.default_rng(0)):
        elements, codes = mx.quantize(x, DTYPES[name])
    assert codes.tolist() == (new - 1).tolist()
    by_hand = np.ldexp(x, 127 - codes.astype(int)[:, None])
    assert (np.abs(by_hand) > most).any()
    assert elements.tolist() == np.maximum(np.minimum(by_hand, most), -most).astype(element).tolist()
    assert elements[0].tolist() == [most] * 32


@pytest.mark.parametrize("name", WRITTEN)
def test_zeros_have_the_smallest_scale_and_nan_poisons_its_group_only(name):
    x = np.zeros((4, 32), np.float32)
    x[1, 3], x[2, 5], x[3] = np.nan, np.inf, 1.0
    elements, codes = mx.quantize(x, DTYPES[name])
    assert codes[:3].tolist() == [0, 255, 255]
    values = elements.astype(np.float32)
    assert values[0].tolist() == [0.0] * 32
    assert np.isnan(values[1:3]).all()
    assert np.isfinite(values[3]).all()


def test_quantize_does_not_write_float4():
    with pytest.raises(UnsupportedError, match="float4_e2m1fn_x4"):
        mx.quantize(np.zeros((1, 32), np.float32), DTYPES["float4_e2m1fn_x4"])


def test_choices_are_taken_together_and_end_with_their_block():
    with taking("sentinel", np.random.default_rng(0)):
        with taking("mx_scale", np.random.default_rng(0)):
            assert taken("sentinel") and taken("mx_scale") and not ordinary()
        assert taken("sentinel") and not taken("mx_scale")
    assert ordinary() and not taken("sentinel")
