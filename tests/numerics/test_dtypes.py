"""numerics.dtypes: codes and limits against a table typed from the documents, spellings against the libraries."""

import pickle

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

from opentrn.errors import DTypeError
from opentrn.numerics.dtypes import DTYPES, PACKED_VOID, DType, dtype

# name: (code, kind, bytes, largest finite value)
TABLE = {
    "float32": (0, "float", 4, 3.4028234663852886e38),
    "bfloat16": (1, "float", 2, 3.3895313892515355e38),
    "float16": (2, "float", 2, 65504),
    "float8_e4m3": (3, "float", 1, 240),
    "float8_e5m2": (4, "float", 1, 57344),
    "float8_e4m3fn": (5, "float", 1, 448),
    "int32": (6, "int", 4, 2**31 - 1),
    "uint32": (7, "uint", 4, 2**32 - 1),
    "int16": (8, "int", 2, 32767),
    "uint16": (9, "uint", 2, 65535),
    "int8": (10, "int", 1, 127),
    "uint8": (11, "uint", 1, 255),
    "bool": (12, "bool", 1, 1),
    "tfloat32": (13, "float", 4, float(np.uint32(0x7F7FE000).view(np.float32))),
    "float8_e8m0fnu": (14, "float", 1, 2.0**127),
    "float8_e5m2_x4": (15, "packed", 4, 57344),
    "float8_e4m3fn_x4": (16, "packed", 4, 448),
    "float4_e2m1fn_x4": (17, "packed", 2, 6),
}


def test_the_table_is_complete():
    assert set(DTYPES) == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_record(name):
    entry = DTYPES[name]
    assert (entry.code, entry.kind, entry.itemsize, entry.max) == TABLE[name]
    assert entry.carrier.itemsize == entry.itemsize
    assert str(entry) == entry.name == name
    assert entry.is_float == (entry.kind == "float")
    assert entry.is_integer == (entry.kind in ("int", "uint"))


@pytest.mark.parametrize("name", ["int32", "uint8", "float16", "bfloat16", "float8_e4m3"])
def test_lower_limit(name):
    signed = {"int32": -(2**31), "uint8": 0, "float16": -65504, "float8_e4m3": -240}
    assert DTYPES[name].min == signed.get(name, -DTYPES[name].max)


def test_packed_elements():
    assert {n: d.packed_element.name for n, d in DTYPES.items() if d.packed_element} == {
        "float8_e5m2_x4": "float8_e5m2",
        "float8_e4m3fn_x4": "float8_e4m3fn",
        "float4_e2m1fn_x4": "float4_e2m1fn",
    }


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        (np.float32, "float32"),
        (np.dtype("int16"), "int16"),
        (np.bool_, "bool"),
        (bool, "bool"),
        ("bool_", "bool"),
        ("float8e4", "float8_e4m3"),
        ("float8e5", "float8_e5m2"),
        (ml_dtypes.bfloat16, "bfloat16"),
        (ml_dtypes.float8_e4m3, "float8_e4m3"),
        (np.dtype(ml_dtypes.float8_e8m0fnu), "float8_e8m0fnu"),
        (np.float16(1), "float16"),
        (PACKED_VOID["float4_e2m1fn_x4"], "float4_e2m1fn_x4"),
        (PACKED_VOID["float8_e5m2_x4"].type, "float8_e5m2_x4"),
        (torch.bfloat16, "bfloat16"),
        (torch.float8_e4m3fn, "float8_e4m3fn"),
        (torch.bool, "bool"),
        (torch.uint16, "uint16"),
        (jnp.bfloat16, "bfloat16"),
        (jnp.zeros(1, jnp.int8).dtype, "int8"),
        (jnp.float8_e5m2, "float8_e5m2"),
    ],
)
def test_spelling(spelling, name):
    assert dtype(spelling) is DTYPES[name]


@pytest.mark.parametrize("name", TABLE)
def test_a_name_and_a_record_mean_themselves(name):
    assert dtype(name) is DTYPES[name]
    assert dtype(DTYPES[name]) is DTYPES[name]


@pytest.mark.parametrize(
    ("spelling", "instead"),
    [
        (np.int64, "use int32"),
        (int, "use int32"),
        (float, "use float32"),
        ("float64", "use float32"),
        (torch.int64, "use int32"),
        (complex, "two float32"),
        (jnp.complex64, "two float32"),
        (object, "use an array of numbers"),
        (ml_dtypes.float4_e2m1fn, "use float4_e2m1fn_x4"),
        (ml_dtypes.float8_e4m3fnuz, "FNUZ"),
        ("flaot32", "use float32"),
        (None, "expected: float32, bfloat16"),
        (np.dtype([("a", "f4")]), "expected: float32, bfloat16"),
    ],
)
def test_refused_spelling_says_what_to_use(spelling, instead):
    with pytest.raises(DTypeError, match=instead):
        dtype(spelling)


@pytest.mark.parametrize("name", [n for n in TABLE if n != "bool"])
def test_every_name_is_a_numpy_dtype_of_the_right_size(name):
    assert np.dtype(name).itemsize == DTYPES[name].itemsize


@pytest.mark.parametrize("name", PACKED_VOID)
def test_packed_arrays_print_their_name_and_keep_it(name):
    a = np.zeros((2, 8), DTYPES[name].carrier).view(name)
    assert str(a.dtype) == a.dtype.name == name
    assert str(a.reshape(4, 4)[1:].copy().dtype) == name
    assert str(pickle.loads(pickle.dumps(a)).dtype) == name
    assert np.array_equal(a.view(DTYPES[name].carrier), np.zeros((2, 8)))


def test_other_opaque_dtypes_print_as_before():
    assert str(np.dtype("V4")) == "|V4"


def test_bfloat16_string_is_not_a_subtype_of_floating():
    """nki-library 2.29 tests (tensor_generators.py) tell the chip's types from numpy's by this."""
    assert not np.issubdtype("bfloat16", np.floating)


def test_records_cannot_be_changed():
    with pytest.raises(AttributeError):
        DTYPES["int8"].max = 1
    assert isinstance(DTYPES["int8"], DType)
