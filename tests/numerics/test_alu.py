"""numerics.alu against Python integers and floats, one element at a time."""

import math
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrn.errors import DTypeError, UnsupportedError
from opentrn.numerics.alu import ALU, apply, identity, reduce

CODES = [
    "add", "subtract", "multiply", "maximum", "minimum", "equal", "not_equal", "greater_equal", "greater",
    "less_equal", "less", "logical_and", "logical_or", "logical_xor", "power", "abs_max", "abs_min", "bitwise_and",
    "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift", "abs", "square", "relu", "rsqrt",
    "reciprocal", "bypass", "average", "divide", "mod",
]  # fmt: skip

# nki.api.shared.rst, column "Legal Reduction op"; average is in nisa.tensor_partition_reduce.
REDUCTIONS = {
    "add", "subtract", "multiply", "maximum", "minimum", "logical_and", "logical_or", "logical_xor", "bitwise_and",
    "bitwise_or", "bitwise_xor", "average",
}  # fmt: skip

COMPARE = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "greater_equal": operator.ge,
    "greater": operator.gt,
    "less_equal": operator.le,
    "less": operator.lt,
    "logical_and": lambda x, y: bool(x) and bool(y),
    "logical_or": lambda x, y: bool(x) or bool(y),
    "logical_xor": lambda x, y: bool(x) != bool(y),
}
SELECT = {
    "maximum": max,
    "minimum": min,
    "abs_max": lambda x, y: x if abs(x) > abs(y) else y,
    "abs_min": lambda x, y: x if abs(x) < abs(y) else y,
    "bypass": lambda x, y: x,
}
RING = {"add": operator.add, "subtract": operator.sub, "multiply": operator.mul}
BITS = {"bitwise_and": operator.and_, "bitwise_or": operator.or_, "bitwise_xor": operator.xor}
UNARY = {"abs": abs, "square": lambda x: x * x, "relu": lambda x: max(x, 0)}

FLOATS = np.array([0.0, -0.0, 1.0, -1.0, 1.5, -2.5, 3.0, 1e30, -1e-30, 2.0**-149, np.inf, -np.inf], np.float32)
ints = st.integers(-(2**31), 2**31 - 1)
widths = st.sampled_from([np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32])


def wrapped(value, dtype):
    """`value` modulo the width of `dtype`, in its range: two's complement with Python integers."""
    info = np.iinfo(dtype)
    return (value - int(info.min)) % 2**info.bits + int(info.min)


def pairs():
    return np.repeat(FLOATS, len(FLOATS)), np.tile(FLOATS, len(FLOATS))


def test_codes_and_kinds():
    assert {name: op.code for name, op in ALU.items()} == {name: i for i, name in enumerate(CODES)}
    assert all(op.name == name for name, op in ALU.items())
    assert {n for n, op in ALU.items() if op.reduction} == REDUCTIONS
    assert {n for n, op in ALU.items() if op.kind == "bitvec"} == {*BITS, "invert", "left_shift", "right_shift"}
    assert {n for n, op in ALU.items() if op.kind == "unary"} == {"abs", "square", "relu", "rsqrt", "reciprocal"}
    assert {n for n, op in ALU.items() if not op.hardware} == {"divide", "mod"}


@pytest.mark.parametrize("name", [*COMPARE, *SELECT])
def test_exact_operators_on_floats(name):
    a, b = pairs()
    got = apply(ALU[name], a, b)
    assert got.dtype == np.float32
    assert got.tolist() == [
        float({**COMPARE, **SELECT}[name](x, y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)
    ]


@pytest.mark.parametrize("name", RING)
def test_ring_operators_on_floats_round_once(name):
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(500).astype(np.float32) for _ in range(2))
    want = [np.float32(RING[name](x, y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    np.testing.assert_array_max_ulp(apply(ALU[name], a, b), np.array(want), 0)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
@pytest.mark.parametrize(("a", "b"), [(np.nan, 1.0), (1.0, np.nan), (np.nan, np.nan)])
def test_extremes_with_nan_are_nan(name, a, b):
    assert np.isnan(apply(ALU[name], np.float32([a]), b))


def test_comparisons_with_nan_are_false_except_not_equal():
    nan = np.float32([np.nan])
    true = [name for name in COMPARE if apply(ALU[name], nan, nan) == 1]
    assert true == ["not_equal", "logical_and", "logical_or"]


@pytest.mark.parametrize("name", UNARY)
def test_unary_operators_ignore_the_operand(name):
    finite = FLOATS[:8]
    want = np.array([UNARY[name](float(x)) for x in finite], np.float64)
    with np.errstate(over="ignore"):
        assert apply(ALU[name], finite, 0.0).tolist() == want.astype(np.float32).tolist()


def test_division_and_roots():
    x = np.float32([4.0, 0.25, 3.0, 7.3, 1e-38, 1e38])
    assert apply(ALU["reciprocal"], x).tolist() == [np.float32(1 / float(v)) for v in x]
    assert apply(ALU["rsqrt"], x, 0.0).tolist() == [np.float32(1 / math.sqrt(v)) for v in x]
    assert apply(ALU["divide"], x, 3.0).tolist() == [np.float32(float(v) / 3) for v in x]
    assert apply(ALU["mod"], np.float32([5.5, -5.5]), np.float32([3, 3])).tolist() == [2.5, 0.5]
    assert np.array_equal(apply(ALU["reciprocal"], np.float32([0.0, -0.0])), np.float32([np.inf, -np.inf]))
    assert apply(ALU["divide"], np.array([7], np.int32), np.array([2], np.int32)).tolist() == [3.5]


def test_power():
    x, y = np.float32([2, 9, 10, 0, -2, 2]), np.float32([10, 0.5, -2, 0, 3, 200])
    assert apply(ALU["power"], x, y).tolist() == [1024, 3, np.float32(0.01), 1, -8, np.inf]
    assert np.isnan(apply(ALU["power"], np.float32([-2]), 0.5))
    assert apply(ALU["power"], np.array([3, -7], np.int32), np.array([25, 3], np.int32)).tolist() == [
        wrapped(3**25, np.int32),
        -343,
    ]
    with pytest.raises(UnsupportedError, match="negative exponent"):
        apply(ALU["power"], np.array([2], np.int32), np.array([-1], np.int32))


@given(ints, ints, st.sampled_from([np.int32, np.uint32]))
def test_integer_arithmetic_wraps_in_32_bits(x, y, dtype):
    x, y = wrapped(x, dtype), wrapped(y, dtype)
    a, b = np.array([x], dtype), np.array([y], dtype)
    for name, want in {**RING, **COMPARE, **SELECT}.items():
        got = apply(ALU[name], a, b)
        assert got.dtype == dtype
        assert got.tolist() == [wrapped(int(want(x, y)), dtype)], name
    for name, want in UNARY.items():
        assert apply(ALU[name], a).tolist() == [wrapped(want(x), dtype)], name


@given(ints, ints, widths)
def test_bitvec_works_at_the_width_of_its_operands(x, y, dtype):
    x, y = wrapped(x, dtype), wrapped(y, dtype)
    a, b = np.array([x], dtype), np.array([y], dtype)
    for name, want in BITS.items():
        got = apply(ALU[name], a, b)
        assert got.dtype == dtype
        assert got.tolist() == [want(x, y)], name
    assert apply(ALU["invert"], a).tolist() == [wrapped(~x, dtype)]


@given(ints, st.integers(0, 40), widths)
def test_shifts_are_logical_and_large_ones_give_zero(x, amount, dtype):
    bits = np.iinfo(dtype).bits
    a, b = np.array([wrapped(x, dtype)], dtype), np.array([amount], dtype)
    assert apply(ALU["left_shift"], a, b).tolist() == [wrapped(x << amount, dtype)]
    assert apply(ALU["right_shift"], a, b).tolist() == [wrapped((x % 2**bits) >> amount, dtype)]
    assert apply(ALU["right_shift"], a, amount).dtype == dtype


def test_a_plain_number_takes_the_width_of_the_array():
    a = np.array([0x12345678], np.int32)
    assert apply(ALU["bitwise_and"], a, 0xFFFFFFFF).tolist() == [0x12345678]
    assert apply(ALU["left_shift"], 1, np.array([31], np.int32)).tolist() == [-(2**31)]
    assert apply(ALU["add"], np.array([2**31 - 1], np.int32), 1).tolist() == [-(2**31)]


def test_narrow_integers_compute_in_32_bits():
    got = apply(ALU["add"], np.array([127], np.int8), np.array([127], np.int8))
    assert (got.dtype, got.tolist()) == (np.int32, [254])


def test_an_integer_and_a_float_compute_in_float32():
    got = apply(ALU["add"], np.array([2**24], np.int32), 1.0)
    assert (got.dtype, got.tolist()) == (np.float32, [2.0**24])


def test_bitvec_refuses_floats():
    with pytest.raises(DTypeError, match="bitwise_and"):
        apply(ALU["bitwise_and"], np.float32([1.0]), 1)


def test_broadcasting():
    a, b = np.ones((4, 3), np.float32), np.arange(4, dtype=np.float32)[:, None]
    assert apply(ALU["add"], a, b)[:, 2].tolist() == [1, 2, 3, 4]


REDUCED = {
    "add": math.fsum,
    "subtract": lambda v: v[0] - math.fsum(v[1:]),
    "multiply": math.prod,
    "maximum": max,
    "minimum": min,
    "logical_and": lambda v: float(all(v)),
    "logical_or": lambda v: float(any(v)),
    "logical_xor": lambda v: float(sum(x != 0 for x in v) % 2),
    "average": lambda v: math.fsum(v) / len(v),
}


@pytest.mark.parametrize("name", REDUCED)
@pytest.mark.parametrize("axis", [1, (2,), (1, 2), -1])
def test_reduce_floats(name, axis):
    a = np.random.default_rng(2).integers(-2, 4, (3, 4, 5)).astype(np.float32) / 2
    got = reduce(ALU[name], a, axis)
    axes = {1: (1,), -1: (2,)}.get(axis, axis)
    kept = [i for i in range(3) if i not in axes]
    rows = a.transpose(kept + list(axes)).reshape(-1, math.prod(a.shape[i] for i in axes))
    want = np.array([REDUCED[name](row.tolist()) for row in rows]).reshape([a.shape[i] for i in kept])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_sum_is_accumulated_in_float32():
    assert reduce(ALU["add"], np.float32([[2.0**24, 1.0]]), 1).tolist() == [2.0**24]


@pytest.mark.parametrize("name", ["abs_max", "abs_min"])
def test_reduce_by_magnitude_is_the_operator_from_left_to_right(name):
    a = np.random.default_rng(3).integers(-4, 5, (50, 7)).astype(np.float32)
    want = a[:, 0]
    for column in a.T[1:]:
        want = apply(ALU[name], want, column)
    assert np.array_equal(reduce(ALU[name], a, 1), want)


@given(st.lists(ints, min_size=1, max_size=9))
def test_reduce_integers_exactly(values):
    a = np.array([values], np.int32)
    assert reduce(ALU["add"], a, 1).tolist() == [wrapped(sum(values), np.int32)]
    for name, want in {**BITS, "maximum": max, "minimum": min}.items():
        folded = values[0]
        for value in values[1:]:
            folded = want(folded, value)
        got = reduce(ALU[name], a, 1)
        assert (got.dtype, got.tolist()) == (np.int32, [folded])


@pytest.mark.parametrize("name", ["greater", "power", "invert", "rsqrt", "bypass", "divide"])
def test_what_does_not_reduce_says_so(name):
    with pytest.raises(UnsupportedError, match=name):
        reduce(ALU[name], np.ones((2, 2), np.float32), 1)
    with pytest.raises(UnsupportedError, match=name):
        identity(ALU[name])


@pytest.mark.parametrize("name", sorted(REDUCTIONS - {"average", "subtract"} | {"abs_max", "abs_min"}))
def test_identity_changes_nothing(name):
    kind = np.int32 if ALU[name].kind == "bitvec" else np.float32
    values = [0, 1] if name.startswith("logical") else [-5, 0, 3, 2**20]
    a = np.array(values, kind)
    neutral = identity(ALU[name])
    assert np.array_equal(apply(ALU[name], a, neutral), a)
    assert np.array_equal(apply(ALU[name], np.full(len(a), neutral, kind), a), a)
