"""tensor_tensor: rules by label, meaning against arithmetic of single Python numbers, native core against the meaning."""

from __future__ import annotations

import operator
from dataclasses import replace

import numpy as np
import pytest
from gathered import through
from harness import Operand, bits, call, native_equals_meaning, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from prices import price, vector_ns
from scalars import BINARY, DTYPES, INTEGERS, rounded, same, sample, seen
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

NAME = "tensor_tensor"
RNG = np.random.default_rng(51)
X, Y = (RNG.standard_normal((16, 24)).astype(np.float32) for _ in range(2))
BIG = RNG.integers(-(2**31), 2**31, (16, 24)).astype(np.int32)
CASE = {"dst": out((16, 24)), "data1": sbuf(X), "data2": sbuf(Y), "op": nl.add}
WHOLE = {"dst": out((16, 24), "int32"), "data1": sbuf(BIG), "data2": sbuf(BIG[::-1].copy()), "op": nl.add}
VECTOR, GPSIMD = nisa.engine.vector, nisa.engine.gpsimd
SEED = st.integers(0, 2**32 - 1)
BITWISE = {"bitwise_and": operator.and_, "bitwise_or": operator.or_, "bitwise_xor": operator.xor}


def wrapped(value, dtype):
    """A Python int as `dtype` holds its low bits."""
    info = np.iinfo(dtype)
    return (value - info.min) % 2**info.bits + info.min


def each(function, a, b):
    """`function` of the Python ints of two equal arrays, wrapped to the dtype of `a`."""
    flat = [wrapped(function(int(x), int(y)), a.dtype) for x, y in zip(a.flat, b.flat, strict=True)]
    return np.array(flat, a.dtype).reshape(a.shape)


def test_c1_accepts_other_ranks():
    got = result(NAME, **{**CASE, "dst": out((16, 2, 3, 4)), "data2": sbuf(Y.reshape(16, 6, 4))})
    assert np.array_equal(got.reshape(16, 24), X + Y)


def test_c1_refuses_other_sizes():
    refused(NAME, "c1", **{**CASE, "data2": sbuf(Y[:, :23])})
    refused(NAME, "c1", **{**CASE, "data2": sbuf(Y[:, :1])})
    refused(NAME, "c1", **{**CASE, "data1": sbuf(X[:8])})
    refused(NAME, "c1", **{**CASE, "dst": out((16, 25))})


@pytest.mark.parametrize(("left", "right"), [(sbuf, sbuf), (sbuf, psum), (psum, sbuf)])
def test_c2_accepts_the_three_legal_cases(left, right):
    for region in (nl.sbuf, nl.psum):
        case = {"dst": out((16, 24), region=region), "data1": left(X), "data2": right(Y), "op": nl.add}
        assert np.array_equal(result(NAME, **case), X + Y)


def test_c2_refuses_both_in_psum():
    refused(NAME, "c2", **{**CASE, "data1": psum(X), "data2": psum(Y)})


@pytest.mark.parametrize("name", sorted(BINARY))
def test_c3_accepts_binary_operators(name):
    values = [BINARY[name](float(a), float(b)) for a, b in zip(X.flat, Y.flat, strict=True)]
    assert result(NAME, **{**CASE, "op": getattr(nl, name)}).reshape(-1).tolist() == values


def test_c3_accepts_the_extremes_by_magnitude_on_trn3():
    a, b = np.array([[3.0, -3.0, 2.0, -2.0]], np.float32), np.array([[-3.0, 3.0, -5.0, 1.0]], np.float32)
    case = {"dst": out((1, 4)), "data1": sbuf(a), "data2": sbuf(b)}
    # nl.abs_max: of equal magnitudes the second
    assert call(NAME, target="trn3", **case, op=nl.abs_max)["dst"].tolist() == [[-3.0, 3.0, -5.0, -2.0]]
    assert call(NAME, target="trn3", **case, op=nl.abs_min)["dst"].tolist() == [[-3.0, 3.0, 2.0, 1.0]]


@pytest.mark.parametrize("name", ["divide", "mod", "abs", "square", "relu", "rsqrt", "reciprocal", "invert"])
def test_c3_refuses_what_no_engine_has_and_unary_operators(name):
    refused(NAME, "c3", **{**CASE, "op": name})


def test_c3_refuses_divide_with_the_documented_workaround():
    """NKI release notes, known issues: multiply by the reciprocal."""
    assert "reciprocal" in (refused(NAME, "c3", **{**CASE, "op": "divide"}).hint or "")


def test_c3_refuses_the_extremes_by_magnitude_before_trn3():
    refused(NAME, "c3", **{**CASE, "op": nl.abs_max})
    refused(NAME, "c3", **{**CASE, "op": nl.abs_min})


@pytest.mark.parametrize("dtype", INTEGERS)
def test_c4_accepts_bitvec_operators_on_integers(dtype):
    a, b = sample(dtype, (4, 8), 1), sample(dtype, (4, 8), 2)
    for name, function in BITWISE.items():
        got = result(NAME, dst=out((4, 8), dtype), data1=sbuf(a), data2=sbuf(b), op=getattr(nl, name))
        assert np.array_equal(got, each(function, a, b))


def test_c4_refuses_bitvec_operators_on_floats():
    refused(NAME, "c4", **{**CASE, "op": nl.bitwise_and})
    refused(NAME, "c4", **{**WHOLE, "dst": out((16, 24)), "op": nl.left_shift})
    refused(NAME, "c4", **{**WHOLE, "data2": sbuf(Y), "op": nl.bitwise_or})


def test_c5_accepts_sbuf_on_gpsimd():
    assert np.array_equal(result(NAME, **CASE, engine=GPSIMD), X + Y)


@pytest.mark.parametrize("which", ["dst", "data1", "data2"])
def test_c5_refuses_psum_on_gpsimd(which):
    case = {**CASE, which: CASE[which].where(nl.psum)}
    refused(NAME, "c5", **case, engine=GPSIMD)
    refused(NAME, "c5", **{**case, "op": nl.power})


def test_c6_accepts_power_on_gpsimd():
    base = np.array([[4.0, 2.0, 9.0, 0.0, 10.0]], np.float32)
    up = np.array([[0.5, -1.0, 0.5, 0.0, 3.0]], np.float32)
    for engine in (GPSIMD, nisa.engine.unknown):
        got = result(NAME, dst=out((1, 5)), data1=sbuf(base), data2=sbuf(up), op=nl.power, engine=engine)
        assert got.tolist() == [[2.0, 0.5, 3.0, 1.0, 1000.0]]
    assert price(NAME, **{**CASE, "data1": sbuf(abs(X)), "op": nl.power}).engine == "gpsimd"


def test_c6_accepts_the_extremes_by_magnitude_of_integers_on_vector():
    a, b = np.array([[-7, 3]], np.int32), np.array([[5, -9]], np.int32)
    got = call(NAME, target="trn3", dst=out((1, 2), "int32"), data1=sbuf(a), data2=sbuf(b), op=nl.abs_max)
    assert got["dst"].tolist() == [[-7, -9]]


def test_c6_refuses_operators_on_the_other_engine():
    refused(NAME, "c6", **{**CASE, "op": nl.power}, engine=VECTOR)
    refused(NAME, "c6", target="trn3", **{**CASE, "op": nl.abs_max}, engine=GPSIMD)


PLACED = {"dst": out((16, 16)), "data1": sbuf(X[:, :16].copy()), "data2": sbuf(Y[:, :16].copy()), "op": nl.add}
STARTS = np.arange(16).reshape(16, 1)


def placed(key, tensor, index):
    """PLACED with operand `key` at partition `tensor`, seen through an index at partition `index` that changes nothing."""
    return {**PLACED, key: replace(PLACED[key], address=(tensor, 0)).seen(through(STARTS, address=(index, 4096)))}


@pytest.mark.parametrize("key", ["dst", "data1"])
def test_c7_accepts_indices_beside_their_data(key):
    want = call(NAME, target="trn3", **PLACED)["dst"]
    for start in (0, 32, 96):
        assert np.array_equal(call(NAME, target="trn3", **placed(key, start, start))["dst"], want)


def test_c7_refuses_indices_elsewhere():
    refused(NAME, "c7", target="trn3", **placed("data1", 32, 64))
    refused(NAME, "c7", target="trn3", **placed("dst", 32, 16))
    beside = {**placed("dst", 32, 64), "data1": replace(PLACED["data1"], address=(32, 2048))}
    refused(NAME, "c7", target="trn3", **beside)


def test_the_public_example():
    """nki/test/test_nki_isa_tensor_tensor.py: the sum of two 128 x 512 tiles."""
    rng = np.random.default_rng(0)
    a, b = (rng.random((128, 512), np.float32) * 100 for _ in range(2))
    got = result(NAME, dst=out((128, 512)), data1=sbuf(a), data2=sbuf(b), op=nl.add)
    assert np.allclose(got, np.add(a, b))


@pytest.mark.parametrize("dtype", ["int32", "uint32"])
@pytest.mark.parametrize("engine", [GPSIMD, nisa.engine.unknown])
def test_meaning_of_32_bit_integers_is_exact_on_gpsimd(dtype, engine):
    a, b = (RNG.integers(0, 2**32, (16, 24), np.uint32).view(dtype) for _ in range(2))
    case = {"dst": out((16, 24), dtype), "data1": sbuf(a), "data2": sbuf(b), "engine": engine}
    functions = {
        "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "maximum": max, "minimum": min,
        "less": operator.lt, "equal": operator.eq, "logical_and": lambda x, y: bool(x) and bool(y),
    }  # fmt: skip
    for name, function in functions.items():
        assert np.array_equal(result(NAME, **case, op=getattr(nl, name)), each(function, a, b)), name


@pytest.mark.parametrize(
    "case",
    [{**WHOLE, "engine": VECTOR}, {**WHOLE, "data1": psum(BIG)}, {**WHOLE, "dst": WHOLE["dst"].where(nl.psum)}],
    ids=["engine=vector", "input in PSUM", "output in PSUM"],
)
def test_meaning_of_32_bit_integers_is_float32_on_vector(case):
    values = [np.float32(a) + np.float32(b) for a, b in zip(BIG.flat, BIG[::-1].flat, strict=True)]
    assert np.array_equal(result(NAME, **case), rounded(values, "int32").reshape(16, 24))
    assert price(NAME, **case).engine == "vector"


def test_32_bit_integers_run_on_gpsimd_and_everything_else_on_vector():
    assert price(NAME, **WHOLE).engine == "gpsimd"
    assert price(NAME, **{**WHOLE, "op": nl.bitwise_and}).engine == "vector"
    assert price(NAME, **{**WHOLE, "dst": out((16, 24))}).engine == "vector"
    assert price(NAME, **CASE).engine == "vector"


def test_meaning_of_shifts():
    a = np.array([[1, -1, -(2**31), 0x12345678]] * 2, np.int32)
    by = np.array([[4, 4, 1, 0], [31, 31, 31, 32]], np.int32)
    case = {"dst": out((2, 4), "int32"), "data1": sbuf(a), "data2": sbuf(by)}
    left = each(lambda x, n: x << n if n < 32 else 0, a, by)
    right = each(lambda x, n: (x % 2**32) >> n if n < 32 else 0, a, by)  # logical: zeros come in from the left
    assert np.array_equal(result(NAME, **case, op=nl.left_shift), left)
    assert np.array_equal(result(NAME, **case, op=nl.right_shift), right)


def test_meaning_in_place_and_between_shifted_views():
    def kernel(x):
        tile = nl.load(x)
        nisa.tensor_tensor(dst=tile[:, 1:24], data1=tile[:, 0:23], data2=tile[:, 1:24], op=nl.add)
        nisa.tensor_tensor(dst=tile, data1=tile, data2=tile, op=nl.multiply)
        nisa.dma_copy(dst=x, src=tile)
        return x

    want = X.copy()
    want[:, 1:] = X[:, :-1] + X[:, 1:]
    assert np.array_equal(opentrn.run(kernel)(X.copy()).results, want * want)


def test_an_indirect_input_on_trn3():
    order = RNG.permutation(16)
    data = X[:, :16].copy()
    case = {
        "dst": out((16, 16)),
        "data1": sbuf(data).seen(through(order.reshape(16, 1))),
        "data2": sbuf(Y[:, :16].copy()),
        "op": nl.subtract,
    }
    assert np.array_equal(call(NAME, target="trn3", **case)["dst"], data[:, order] - Y[:, :16])
    swapped = {**case, "data1": case["data2"], "data2": case["data1"]}
    refused(NAME, "data2.indirect", target="trn3", **swapped)


def floats(dtypes, name, a, b):
    """What the Vector Engine gives, element by element."""
    values = [[BINARY[name](x, y) for x, y in zip(*rows, strict=True)] for rows in zip(seen(a), seen(b), strict=True)]
    return rounded(values, dtypes)


def _dtypes():
    return st.tuples(*[st.sampled_from(DTYPES)] * 3)


@settings(deadline=None, max_examples=120)
@given(
    _dtypes(), st.sampled_from(sorted(BINARY)), st.tuples(*[st.sampled_from(KINDS)] * 3),
    st.sampled_from([1, 3, 128]), st.integers(1, 7), SEED,
)  # fmt: skip
def test_meaning_is_float32_arithmetic_of_each_pair(dtypes, name, kinds, rows, columns, seed):
    goes, left, right = (window(kind, rows, columns) for kind in kinds)
    want, a, b = (
        sample(d, w.shape, seed + n) for n, (d, w) in enumerate(zip(dtypes, (goes, left, right), strict=True))
    )
    got = result(
        NAME, dst=sbuf(want.copy(), dtypes[0]).seen(goes.view), data1=sbuf(a, dtypes[1]).seen(left.view),
        data2=sbuf(b, dtypes[2]).seen(right.view), op=getattr(nl, name), engine=VECTOR,
    )  # fmt: skip
    cells = goes.look(want)
    cells[...] = floats(dtypes[0], name, left.look(a), right.look(b)).reshape(cells.shape)
    same(got, want)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(sorted(BINARY)), st.integers(1, 4), st.integers(1, 6), SEED)
def test_meaning_of_a_broadcast_input(name, times, columns, seed):
    a, b = sample("float32", (4, times * columns), seed), sample("bfloat16", (4, 1, columns), seed + 1)
    narrow = sbuf(b, "bfloat16").seen(lambda t: t.broadcast(1, times))
    got = result(NAME, dst=out((4, times * columns)), data1=sbuf(a), data2=narrow, op=getattr(nl, name))
    repeated = np.concatenate([b.reshape(4, columns)] * times, axis=1)
    same(got, floats("float32", name, a, repeated))


@settings(deadline=None, max_examples=80)
@given(
    _dtypes(), st.sampled_from([*sorted(BINARY), "power"]), st.sampled_from(KINDS), st.sampled_from(KINDS),
    st.integers(1, 150), SEED,
)  # fmt: skip
def test_native_equals_meaning(dtypes, name, kind, other, columns, seed):
    left, right = window(kind, 6, columns), window(other, 6, columns)
    if name == "power":
        dtypes = (dtypes[0], "float32", "bfloat16")
    native_equals_meaning(
        NAME, dst=out((6, columns), dtypes[0]), data1=sbuf(sample(dtypes[1], left.shape, seed), dtypes[1]).seen(left.view),
        data2=sbuf(sample(dtypes[2], right.shape, seed + 1), dtypes[2]).seen(right.view), op=getattr(nl, name),
    )  # fmt: skip


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(INTEGERS), st.sampled_from([*sorted(BINARY), *BITWISE, "left_shift", "right_shift"]),
    st.sampled_from(KINDS), st.sampled_from(KINDS), st.integers(1, 150), SEED,
)  # fmt: skip
def test_native_equals_meaning_on_integers(dtype, name, kind, other, columns, seed):
    left, right = window(kind, 6, columns), window(other, 6, columns)
    amounts = sample(dtype, right.shape, seed + 1)
    if "shift" in name:
        amounts = amounts % 40
    native_equals_meaning(
        NAME, dst=out((6, columns), dtype), data1=sbuf(sample(dtype, left.shape, seed)).seen(left.view),
        data2=sbuf(amounts).seen(right.view), op=getattr(nl, name),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["abs_max", "abs_min"])
def test_native_equals_meaning_of_extremes_by_magnitude(name):
    a, b = sample("float32", (6, 80), 3), sample("float32", (6, 80), 4)
    native_equals_meaning(NAME, target="trn3", dst=out((6, 80)), data1=sbuf(a), data2=sbuf(b), op=getattr(nl, name))


def test_mixed_32_bit_integers_are_computed_in_the_type_of_data1():
    a, b = np.array([[-1, 5]], np.int32), np.array([[1, 2**32 - 1]], np.uint32)
    case = {"dst": out((1, 2), "int32"), "op": nl.less}
    assert result(NAME, **case, data1=sbuf(a), data2=sbuf(b)).tolist() == [[1, 0]]
    assert result(NAME, **case, data1=sbuf(b), data2=sbuf(a)).tolist() == [[1, 0]]
    native_equals_meaning(NAME, **case, data1=sbuf(a), data2=sbuf(b))


def test_bitvec_operators_on_unequal_widths_give_the_low_bits():
    a, b = np.array([[0x0F, 0xF0]], np.uint8), np.array([[0x1FF, 0x1FF]], np.uint16)
    case = {"data1": sbuf(a), "data2": sbuf(b), "op": nl.bitwise_xor}
    assert result(NAME, dst=out((1, 2), "uint16"), **case).tolist() == [[0x1F0, 0x10F]]
    assert result(NAME, dst=out((1, 2), "uint8"), **case).tolist() == [[0xF0, 0x0F]]


def test_the_cost_depends_on_dtype_and_memory():
    wide = np.ones((128, 512), np.float32)
    case = {"dst": out((128, 512)), "data1": sbuf(wide), "data2": sbuf(wide), "op": nl.add}
    assert price(NAME, **case).busy_ns == pytest.approx(vector_ns(512))
    half = Operand(nl.sbuf, (128, 512), "bfloat16", sample("bfloat16", (128, 512), 1))
    fast = {"dst": out((128, 512), "bfloat16"), "data1": half, "data2": half, "op": nl.add}
    assert price(NAME, **fast).busy_ns == pytest.approx(vector_ns(256))


def test_bits_of_negative_zero_survive():
    zeros = np.array([[0.0, -0.0, -0.0]], np.float32)
    other = np.array([[-0.0, -0.0, 1.0]], np.float32)
    got = result(NAME, dst=out((1, 3)), data1=sbuf(zeros), data2=sbuf(other), op=nl.add)
    assert bits(got).tolist() == bits(np.array([[0.0, -0.0, 1.0]], np.float32)).tolist()
