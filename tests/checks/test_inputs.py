"""Arguments of a checked run: values for shapes, and the text form."""

import ml_dtypes
import numpy as np
import pytest

import opentrn
from opentrn.errors import LaunchError
from opentrn.nki.arrays import ShapeDtype
from opentrn.nki.inputs import fresh, parse_inputs
from opentrn.nki.values import Values, values_for
from opentrn.numerics.dtypes import DTYPES
from opentrn.numerics.mx import unpack_f32


def test_a_text_gives_arguments_and_options():
    args, kwargs, options = parse_inputs(
        "float32[128] (2, 3) x=bfloat16[128,512] idx=int32[128]{0:4096} xs=[int8[4],uint8[4,2]] scale=2.0 name='a b'"
        " flag=True dtype=bfloat16 lnc=2 target=trn3"
    )
    assert args == (ShapeDtype((128,), "float32"), (2, 3))
    assert kwargs == {
        "x": ShapeDtype((128, 512), "bfloat16"),
        "idx": ShapeDtype((128,), "int32", "0:4096"),
        "xs": [ShapeDtype((4,), "int8"), ShapeDtype((4, 2), "uint8")],
        "scale": 2.0,
        "name": "a b",
        "flag": True,
        "dtype": "bfloat16",
    }
    assert options == {"lnc": 2, "target": "trn3"}


def test_an_empty_text_gives_nothing():
    assert parse_inputs(" \n ") == ((), {}, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x=bflaot16[128]", "did you mean bfloat16"),
        ("x=bfloat16[128,b]", "whole numbers"),
        ("x=bfloat16[128,0]", "at least one element"),
        ("x=bfloat16[128", "close"),
        ("x=int32[8]{7:7}", "low below high"),
        ("x=int32[8]{specal}", "did you mean special"),
        ("x=1 2", "after the first named"),
        ("x=1 x=2", "x once"),
        ("lnc=two", "a number of cores"),
        ("mode=fast", 'quote it if it is a string: "fast"'),
    ],
)
def test_what_is_wrong_with_a_text_is_said(text, message):
    with pytest.raises(LaunchError, match=message):
        fresh(parse_inputs(text)[:2])


@pytest.mark.parametrize("name", sorted(DTYPES))
@pytest.mark.parametrize("kind", ["normal", "special", "zeros", "ones", "0:2"])
def test_every_type_has_values_of_every_kind(name, kind):
    one = values_for((4, 8), DTYPES[name], Values(kind))
    assert one.shape == (4, 8) and one.dtype == DTYPES[name].carrier
    assert one.tobytes() == values_for((4, 8), DTYPES[name], Values(kind)).tobytes()


def test_another_seed_and_another_argument_are_other_values():
    kind = DTYPES["float32"]
    first = values_for((64,), kind)
    assert not np.array_equal(first, values_for((64,), kind, Values(seed=1)))
    given, _ = fresh(((ShapeDtype((64,), "float32"),) * 2, {}))
    assert not np.array_equal(*given)


def test_special_values_hold_what_is_out_of_the_ordinary():
    made = values_for((128, 64), DTYPES["bfloat16"], Values("special")).astype(np.float32)
    smallest = float(ml_dtypes.finfo(ml_dtypes.bfloat16).smallest_normal)
    assert np.isnan(made).any() and np.isposinf(made).any() and np.isneginf(made).any()
    assert ((made != 0) & (np.abs(made) < smallest)).any() and (made == 0).any()
    assert (~np.isfinite(made)).mean() == 1 / 32  # a quarter of the eighth
    whole = values_for((64,), DTYPES["int32"], Values("special"))
    assert {-(2**31), 2**31 - 1, 2**24 + 1} <= set(whole.tolist())


def test_integers_index_every_dimension_of_the_arguments():
    (table, rows), _ = fresh(((ShapeDtype((16, 512), "float32"), ShapeDtype((1, 100), "int32")), {}))
    assert rows.min() >= 0 and rows.max() < 16
    (_, rows), _ = fresh(((table, ShapeDtype((100,), "int32", "0:4096")), {}))
    assert rows.max() > 64 and len(set(rows.tolist())) == 100


def test_packed_elements_are_numbers():
    made = values_for((32, 8), DTYPES["float8_e5m2_x4"])
    assert np.isfinite(unpack_f32(made, DTYPES["float8_e5m2_x4"])).all()


def test_unknown_kinds_are_refused_before_anything_runs():
    with pytest.raises(LaunchError, match="did you mean zeros"):
        opentrn.check(lambda x: x, values="zeroes")
