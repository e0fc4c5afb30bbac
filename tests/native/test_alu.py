"""tensor_tensor, tensor_scalar, scalar_tensor_tensor and tensor_tensor_scan against numpy, operator by operator."""

from __future__ import annotations

import numpy as np
import pytest
from tests.native.harness import (
    ALU,
    BFLOAT16,
    DTYPES,
    INTEGERS,
    View,
    block_of,
    call,
    execute,
    native,
    random_array,
    same,
    spec,
)

FLOAT = np.dtype(np.float32)
RNG = np.random.default_rng(11)
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 3.0, np.inf, -np.inf, np.nan, 1e-40, 3e38, -2.5], np.float32)

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def power(a, b):
    return np.power(a.astype(np.float64), b.astype(np.float64)).astype(np.float32)


ORACLE = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
    "equal": np.equal, "not_equal": np.not_equal, "greater_equal": np.greater_equal, "greater": np.greater,
    "less_equal": np.less_equal, "less": np.less, "logical_and": np.logical_and, "logical_or": np.logical_or,
    "logical_xor": np.logical_xor, "power": power,
    "abs_max": lambda a, b: np.where(np.abs(a) > np.abs(b), a, b),
    "abs_min": lambda a, b: np.where(np.abs(a) < np.abs(b), a, b),
    "abs": lambda a, b: np.abs(a), "square": lambda a, b: a * a, "relu": lambda a, b: np.maximum(a, np.float32(0)),
    "rsqrt": lambda a, b: 1 / np.sqrt(a.astype(np.float64)), "reciprocal": lambda a, b: np.float32(1) / a,
    "bypass": lambda a, b: a,
}  # fmt: skip
UNARY = {"abs", "square", "relu", "rsqrt", "reciprocal", "bypass"}


def expected(name, a, b):
    return np.asarray(ORACLE[name](a, b)).astype(np.float32)


def pairs():
    """Every pair of special values, and random ones."""
    a, b = (x.reshape(-1) for x in np.meshgrid(SPECIAL, SPECIAL))
    random = RNG.standard_normal((2, 1000 - a.size)).astype(np.float32)
    return np.concatenate([a, random[0]]).reshape(20, 50), np.concatenate([b, random[1]]).reshape(20, 50)


def equal_but_for_zero_signs(a, b):
    """Whether max(0, -0) is 0 or -0 depends on the processor in numpy."""
    return same(a + np.float32(0), b + np.float32(0))


@pytest.mark.parametrize("name", ORACLE)
def test_tensor_tensor_in_float32(name):
    a, b = pairs()
    assert equal_but_for_zero_signs(
        call("tensor_tensor", (a.shape, FLOAT), [a, b], (ALU[name], 0)), expected(name, a, b)
    )


@pytest.mark.parametrize(
    "dtypes", [(BFLOAT16,) * 3, (FLOAT, BFLOAT16, DTYPES[2]), (DTYPES[3], DTYPES[6], DTYPES[11])], ids=str
)
@pytest.mark.parametrize("name", ["add", "multiply", "less"])
def test_tensor_tensor_of_mixed_types(name, dtypes):
    to, left, right = dtypes
    a, b = random_array(RNG, (7, 33), left), random_array(RNG, (7, 33), right)
    wide = expected(name, a.astype(np.float32), b.astype(np.float32))
    assert same(call("tensor_tensor", (a.shape, to), [a, b], (ALU[name], 0)), wide.astype(to))


AS_FLOATS = (*tuple(ORACLE)[:14], "abs", "square", "bypass")
INTEGER_ORACLE = {
    **{name: ORACLE[name] for name in AS_FLOATS},
    "relu": lambda a, b: np.maximum(a, a.dtype.type(0)),
}


@pytest.mark.parametrize("dtype", INTEGERS[:2], ids=str)
@pytest.mark.parametrize("name", INTEGER_ORACLE)
def test_integers_wrap_around(name, dtype):
    edges = np.array([0, 1, 2**31, 2**31 - 1, 2**32 - 1, 5], np.uint32)
    a, b = (x.reshape(-1) for x in np.meshgrid(edges, edges))
    random = RNG.integers(0, 2**32, (2, 100), dtype=np.uint64).astype(np.uint32)
    a, b = np.concatenate([a, random[0]]).view(dtype), np.concatenate([b, random[1]]).view(dtype)
    result = call("tensor_tensor", (a.shape, dtype), [a, b], (ALU[name], 1))
    assert np.array_equal(result, np.asarray(INTEGER_ORACLE[name](a, b)).astype(dtype))


def shifted(a, b, left):
    """Python integers: a shift by the width or more leaves nothing."""
    bits = 8 * a.dtype.itemsize
    unsigned = a.view(f"u{a.dtype.itemsize}").tolist(), b.view(f"u{a.dtype.itemsize}").tolist()
    values = [((x << y if left else x >> y) if y < bits else 0) & (2**bits - 1) for x, y in zip(*unsigned, strict=True)]
    return np.array(values, f"u{a.dtype.itemsize}").view(a.dtype)


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift"])
def test_bit_operators(name, dtype):
    a = RNG.integers(0, 256, 400, dtype=np.uint8).view(dtype)
    b = RNG.integers(0, 256, 400, dtype=np.uint8).view(dtype)
    if "shift" in name:
        b = np.concatenate([np.resize(np.arange(40), b.size - 5), np.full(5, -1)]).astype(dtype)
        wanted = shifted(a, b, name == "left_shift")
    else:
        wanted = np.invert(a) if name == "invert" else getattr(np, name)(a, b)
    assert np.array_equal(call("tensor_tensor", (a.shape, dtype), [a, b], (ALU[name], 1)), wanted)


def test_what_integers_cannot_do_has_no_plan():
    for name, dtype in (("power", np.int32), ("rsqrt", np.int32), ("add", np.int16), ("bitwise_and", np.float32)):
        operands = [spec((4,), dtype, role) for role in ("out", "in", "in")]
        assert native.plan("tensor_tensor", operands, [ALU[name], 1], []) is None
    operands = [spec((4,), np.float32, role) for role in ("out", "in", "in")]
    assert native.plan("tensor_tensor", operands, [ALU["bitwise_and"], 0], []) is None


@pytest.mark.parametrize("cols", [1, 5, 31, 32, 700])
@pytest.mark.parametrize("vectors", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize(("ops", "reverses"), [(("subtract", None), (0, 0)), (("subtract", "power"), (1, 1)),
                                               (("multiply", "subtract"), (0, 1)), (("rsqrt", "less"), (1, 0)),
                                               (("maximum", "reciprocal"), (1, 1))])  # fmt: skip
@pytest.mark.parametrize("dtype", [FLOAT, BFLOAT16], ids=str)
def test_tensor_scalar(cols, vectors, ops, reverses, dtype):
    vectors = (vectors[0], vectors[1] if ops[1] else 0)
    data = random_array(RNG, (9, cols), dtype)
    columns = [random_array(RNG, (9, 1), FLOAT), random_array(RNG, (9, 1), BFLOAT16)]
    floats = (1.5, -0.75)
    result = data.astype(np.float32)
    for name, swap, vector, column, number in zip(ops, reverses, vectors, columns, floats, strict=True):
        if name is not None:
            operand = np.broadcast_to(column.astype(np.float32) if vector else np.float32(number), result.shape)
            swapped = swap and name not in UNARY
            result = expected(name, *((operand, result) if swapped else (result, operand)))
    ints = (ALU[ops[0]], reverses[0], vectors[0], -1 if ops[1] is None else ALU[ops[1]], reverses[1], vectors[1], 0)
    inputs = [data] + [c for c, used in zip(columns, vectors, strict=True) if used]
    assert same(call("tensor_scalar", (data.shape, dtype), inputs, ints, floats), result.astype(dtype))


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_tensor_scalar_on_bits(dtype):
    data = RNG.integers(0, 256, (6, 256), dtype=np.uint8).view(dtype)
    ints = (ALU["bitwise_and"], 0, 0, ALU["left_shift"], 0, 0, 1)
    wanted = (data & dtype.type(15)) << dtype.type(2)
    assert np.array_equal(call("tensor_scalar", (data.shape, dtype), [data], ints, (15.0, 2.0)), wanted)
    vector = RNG.integers(0, 256, (6, dtype.itemsize), dtype=np.uint8).view(dtype)
    ints = (ALU["bitwise_xor"], 0, 1, -1, 0, 0, 1)
    assert np.array_equal(call("tensor_scalar", (data.shape, dtype), [data, vector], ints, (0.0, 0.0)), data ^ vector)


def test_tensor_scalar_takes_only_whole_integers():
    operands = [spec((4, 4), np.int32, "out"), spec((4, 4), np.int32, "in")]
    assert native.plan("tensor_scalar", operands, [ALU["add"], 0, 0, -1, 0, 0, 1], [1.5, 0.0]) is None


@pytest.mark.parametrize("cols", [1, 31, 600])
@pytest.mark.parametrize("vector", [0, 1])
@pytest.mark.parametrize("reverses", [(0, 0), (1, 1)])
@pytest.mark.parametrize("dtype", [FLOAT, BFLOAT16], ids=str)
def test_scalar_tensor_tensor(cols, vector, reverses, dtype):
    data, other, column = (random_array(RNG, (9, c), dtype) for c in (cols, cols, 1))
    operand = column.astype(np.float32) if vector else np.float32(0.3)
    wide, right = data.astype(np.float32), other.astype(np.float32)
    first = operand - wide if reverses[0] else wide - operand
    wanted = (right - first if reverses[1] else first - right).astype(dtype)
    inputs = [data] + [column] * vector + [other]
    ints = (ALU["subtract"], reverses[0], vector, ALU["subtract"], reverses[1])
    assert same(call("scalar_tensor_tensor", (data.shape, dtype), inputs, ints, (0.3,)), wanted)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (16, 64), (33, 200)])
@pytest.mark.parametrize("vector", [0, 1])
@pytest.mark.parametrize("reverses", [(0, 0), (1, 1)])
@pytest.mark.parametrize("dtype", [FLOAT, BFLOAT16], ids=str)
def test_tensor_tensor_scan(shape, vector, reverses, dtype):
    a, b = (random_array(RNG, shape, dtype) for _ in range(2))
    start = random_array(RNG, (shape[0], 1), FLOAT)
    state = start[:, 0] if vector else np.full(shape[0], 0.25, np.float32)
    wanted = np.empty(shape, np.float32)
    for i in range(shape[1]):
        x, y = a[:, i].astype(np.float32), b[:, i].astype(np.float32)
        first = state - x if reverses[0] else x - state
        state = np.maximum(first, y) * 1 if not reverses[1] else np.maximum(y, first)
        wanted[:, i] = state
    ints = (ALU["subtract"], ALU["maximum"], *reverses, vector)
    inputs = [a, b] + [start] * vector
    assert same(call("tensor_tensor_scan", (shape, dtype), inputs, ints, (0.25,)), wanted.astype(dtype))


def test_scan_in_place():
    a = random_array(RNG, (20, 100), FLOAT)
    block, ones = block_of(a), block_of(np.ones_like(a))
    operands = [spec(a.shape, FLOAT, role) for role in ("out", "in", "in")]
    plan = native.plan("tensor_tensor_scan", operands, [ALU["multiply"], ALU["add"], 0, 0, 0], [0.0])
    assert execute(plan, View(block, 0), View(ones, 0), View(block, 0)) == 1
    assert same(block.array.view(FLOAT).reshape(a.shape), np.cumsum(a, 1, dtype=np.float32))
