"""opentrn._neuron_dtypes: what nki-library's tests ask of the module of that name."""

import ml_dtypes
import numpy as np
import pytest

from opentrn import _neuron_dtypes as dt

X4 = {
    "float8_e4m3fn_x4": (dt.float8_e4m3fn_x4, ml_dtypes.float8_e4m3fn, 4),
    "float8_e5m2_x4": (dt.float8_e5m2_x4, ml_dtypes.float8_e5m2, 4),
    "float4_e2m1fn_x4": (dt.float4_e2m1fn_x4, ml_dtypes.float4_e2m1fn, 2),
}


def test_every_public_name_is_there():
    assert all(hasattr(dt, name) for name in dt.__all__)
    assert (dt.bfloat16, dt.float8_e4m3, dt.tfloat32) == (ml_dtypes.bfloat16, ml_dtypes.float8_e4m3, np.float32)


@pytest.mark.parametrize("name", X4)
def test_cast_to_packed_and_back(name):
    packed, element, size = X4[name]
    x = np.random.default_rng(1).standard_normal((3, 16)).astype(np.float32)
    a = dt.static_cast(x, packed)
    assert (a.shape, str(a.dtype), a.itemsize) == ((3, 4), name, size)
    assert np.array_equal(dt.static_cast(a, np.float32), x.astype(element).astype(np.float32))
    assert dt.static_cast(a, element).dtype == element
    assert dt.static_cast(a, name) is a
    assert dt.sizeinbytes(packed) == dt.sizeinbytes(name) == size


def test_cast_between_packed_types_of_one_size():
    x = np.float32([[1.5, -2.0, 3.0, 0.25]])
    a = dt.static_cast(dt.static_cast(x, dt.float8_e4m3fn_x4), dt.float8_e5m2_x4)
    assert str(a.dtype) == "float8_e5m2_x4"
    assert dt.static_cast(a, np.float32).tolist() == x.tolist()


@pytest.mark.parametrize("target", [np.float16, "bfloat16", dt.float8_e4m3, "float8_e8m0fnu", np.int32, "tfloat32"])
@pytest.mark.parametrize("source", [np.float32, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, np.uint8, np.float64])
def test_plain_casts_are_by_value(source, target):
    x = np.array([[1.0, 2.0, 64.0]]).astype(source)
    got = dt.static_cast(x, target)
    assert got.dtype == np.dtype(target)
    assert got.astype(np.float32).tolist() == [[1.0, 2.0, 64.0]]


@pytest.mark.parametrize(
    ("spelling", "floating"),
    [
        ("tfloat32", True), ("float8_e4m3fn_x4", True), (dt.float4_e2m1fn_x4, True), (dt.bfloat16, True),
        (np.dtype("float16"), True), (np.int32, False), ("uint8", False), (np.bool_, False),
    ],
)  # fmt: skip
def test_is_float_type(spelling, floating):
    assert dt.is_float_type(spelling) is floating


def test_limits():
    assert float(dt.finfo("bfloat16").max) == 3.3895313892515355e38
    assert float(dt.finfo(dt.float8_e4m3).max) == 240
    assert dt.iinfo(np.int16).min == -32768


def test_aliases_are_numpy_dtypes():
    assert np.dtype("float8e4") == ml_dtypes.float8_e4m3
    assert np.dtype("float8e5") == ml_dtypes.float8_e5m2
