"""The native core against opentrn's own numpy functions, by the codes that both sides share."""

from __future__ import annotations

import numpy as np
import pytest
from tests.native.harness import View, bits, execute, native, spec

from opentrn.isa.operators import fold
from opentrn.numerics.activations import ACTIVATIONS
from opentrn.numerics.alu import ALU, apply
from opentrn.numerics.casts import convert
from opentrn.numerics.dtypes import DTYPES

RNG = np.random.default_rng(61)
RANDOM_BITS = RNG.integers(0, 2**32, 20_000, dtype=np.uint64).astype(np.uint32)
FLOATS = np.concatenate([RANDOM_BITS.view(np.float32), RNG.standard_normal(20_000).astype(np.float32) * 3])
VALUED = [t for t in DTYPES.values() if t.code <= 13]

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def run(opcode, target, inputs, ints=(), floats=()):
    """`inputs` are (array, dtype) pairs; arrays are held in the carriers of opentrn's dtypes."""
    shape = inputs[0][0].shape
    operands = [(target.code, shape, spec(shape, np.float32, "out")[2], "out")]
    operands += [(t.code, a.shape, spec(a.shape, np.float32, "in")[2], "in") for a, t in inputs]
    plan = native.plan(opcode, operands, list(ints), list(floats))
    if plan is None:
        return None
    out = native.Block(int(np.prod(shape)) * target.itemsize, target.itemsize)
    blocks = [
        native.Block.wrap(np.ascontiguousarray(a).reshape(-1).view(np.uint8).copy(), t.itemsize) for a, t in inputs
    ]
    assert execute(plan, View(out, 0), *(View(b, 0) for b in blocks)) == 1
    return out.array.view(target.carrier).reshape(shape)


@pytest.mark.parametrize("target", VALUED, ids=str)
@pytest.mark.parametrize("source", VALUED, ids=str)
def test_casts(source, target):
    is_bool = source.kind == "bool"
    data = RNG.integers(0, 2, 1000).astype(np.uint8) if is_bool else convert(FLOATS, DTYPES["float32"], source)
    assert np.array_equal(bits(run("copy", target, [(data, source)])), bits(convert(data, source, target)))


@pytest.mark.parametrize("op", ALU.values(), ids=lambda op: op.name)
def test_operators_on_float32(op):
    a, b = FLOATS, RNG.permutation(FLOATS)
    result = run("tensor_tensor", DTYPES["float32"], [(a, DTYPES["float32"]), (b, DTYPES["float32"])], (op.code, 0))
    if op.kind == "bitvec" or op.name in ("average", "divide", "mod"):
        assert result is None
    else:
        assert np.array_equal(bits(result), bits(apply(op, a, b)))


@pytest.mark.parametrize("op", ALU.values(), ids=lambda op: op.name)
@pytest.mark.parametrize("name", ["int32", "uint32", "int16", "uint8"])
def test_operators_on_integers(op, name):
    held = DTYPES[name]
    a, b = (RNG.permutation(RANDOM_BITS).view(held.carrier)[:20_000] for _ in range(2))
    b[:5000] = b[:5000] % held.carrier.type(40)
    result = run("tensor_tensor", held, [(a, held), (b, held)], (op.code, 1))
    if result is not None:
        assert np.array_equal(result, apply(op, a, b).astype(held.carrier))
    else:
        assert op.kind != "bitvec"


def is_native(function):
    operands = [spec((4,), np.float32, role) for role in ("out", "in")]
    return native.plan("activation", operands, [function.code, 0, 0], [1.0, 0.0]) is not None


@pytest.mark.parametrize("function", [f for f in ACTIVATIONS.values() if is_native(f)], ids=lambda f: f.name)
def test_activations_within_a_few_units(function):
    held = DTYPES["float32"]
    x = np.clip(FLOATS[20_000:] * 4, *function.valid) if function.name != "reciprocal" else FLOATS[20_000:]
    result = run("activation", held, [(x, held)], (function.code, 0, 0), (1.0, 0.0))
    wanted = function.f(x)
    unit = np.spacing(np.abs(wanted) + np.float32(1e-30))
    assert np.max(np.abs(result.astype(np.float64) - wanted) / unit) <= 6


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "minimum"])
@pytest.mark.parametrize("count", [1, 16, 23, 800])
def test_reductions(name, count):
    held, data = DTYPES["float32"], RNG.standard_normal((50, count)).astype(np.float32)
    operands = [(0, (50, 1), (1, 1), "out"), (0, data.shape, (count, 1), "in")]
    plan = native.plan("tensor_reduce", operands, [ALU[name].code, count, 0], [])
    out = native.Block(200, 4)
    assert execute(plan, View(out, 0), View(native.Block.wrap(data.reshape(-1).view(np.uint8), 4), 0)) == 1
    assert np.array_equal(out.array.view(held.carrier), fold(ALU[name], data)[:, 0])
