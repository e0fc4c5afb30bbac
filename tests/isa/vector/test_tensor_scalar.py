"""tensor_scalar: rules by label, meaning against arithmetic of single Python numbers, native core against the meaning."""

from __future__ import annotations

import operator
from dataclasses import replace

import numpy as np
import pytest
from gathered import through
from harness import Operand, bits, call, cast, native_equals_meaning, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from prices import STATIC, price, vector_ns
from scalars import BINARY, DTYPES, INTEGERS, UNARY, rounded, same, sample, seen, single
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

NAME = "tensor_scalar"
RNG = np.random.default_rng(71)
X = RNG.standard_normal((16, 24)).astype(np.float32)
WORDS = RNG.integers(-(2**31), 2**31, (16, 24)).astype(np.int32)
COLUMN = RNG.standard_normal((16, 1)).astype(np.float32)
CASE = {"dst": out((16, 24)), "data": sbuf(X), "op0": nl.multiply, "operand0": 2.0}
BITS = {"dst": out((16, 24), "int32"), "data": sbuf(WORDS), "op0": nl.bitwise_and, "operand0": 0xFF}
VECTOR, SCALAR, GPSIMD = nisa.engine.vector, nisa.engine.scalar, nisa.engine.gpsimd
SEED = st.integers(0, 2**32 - 1)
BITWISE = {"bitwise_and": operator.and_, "bitwise_or": operator.or_, "bitwise_xor": operator.xor}
ORDER = RNG.permutation(16)


def indirect(operand: Operand) -> Operand:
    """The operand seen through tensor indirection: column n of the view is column ORDER[n] of the tensor."""
    return operand.seen(through(ORDER.reshape(16, 1)))


def oracle(dtype, data, *stages):
    """The stages (operator, one Python number per partition, reversed) one after the other on each element."""
    rows = []
    for p, row in enumerate(seen(data)):
        made = []
        for value in row:
            for name, numbers, swap in stages:
                if name in UNARY:
                    value = UNARY[name](value)
                else:
                    value = BINARY[name](numbers[p], value) if swap else BINARY[name](value, numbers[p])
            made.append(value)
        rows.append(made)
    return rounded(rows, dtype)


def test_c1_accepts_other_ranks():
    assert np.array_equal(result(NAME, **{**CASE, "dst": out((16, 2, 12))}).reshape(16, 24), X * 2)


def test_c1_refuses_other_sizes():
    refused(NAME, "c1", **{**CASE, "dst": out((16, 23))})
    refused(NAME, "c1", **{**CASE, "dst": out((8, 48))})


def test_c2_accepts_numbers_and_columns():
    for operand in (
        sbuf(COLUMN),
        psum(COLUMN),
        sbuf(COLUMN.reshape(16, 1, 1)),
        sbuf(np.hstack([X, COLUMN])).seen(lambda t: t[:, 24]),
    ):
        assert np.array_equal(result(NAME, **{**CASE, "operand0": operand}), X * COLUMN)
    got = result(NAME, **{**CASE, "operand0": sbuf(COLUMN)}, op1=nl.add, operand1=psum(COLUMN))
    assert np.array_equal(got, X * COLUMN + COLUMN)


def test_c2_refuses_other_shapes():
    refused(NAME, "c2", **{**CASE, "operand0": sbuf(X)})
    refused(NAME, "c2", **{**CASE, "operand0": sbuf(COLUMN[:1])})
    refused(NAME, "c2", **CASE, op1=nl.add, operand1=sbuf(X[:, :2]))


def test_c3_accepts_one_or_two_operators():
    assert np.array_equal(result(NAME, **CASE, op1=None, operand1=None), X * 2)
    assert np.array_equal(result(NAME, **CASE, op1=nl.add, operand1=1), X * 2 + 1)


def test_c3_refuses_half_a_second_operator():
    refused(NAME, "c3", **CASE, op1=nl.add)
    refused(NAME, "c3", **CASE, operand1=1.0)


@pytest.mark.parametrize("operand", [None, 0, 0.0])
def test_c4_accepts_none_or_zero_for_unary_operators(operand):
    assert np.array_equal(result(NAME, **{**CASE, "op0": nl.abs, "operand0": operand}), abs(X))
    assert np.array_equal(result(NAME, **CASE, op1=nl.abs, operand1=operand), abs(X * 2))


def test_c4_refuses_operands_of_unary_operators_and_their_lack_elsewhere():
    refused(NAME, "c4", **{**CASE, "op0": nl.abs})
    refused(NAME, "c4", **{**CASE, "op0": nl.abs, "operand0": sbuf(COLUMN)})
    refused(NAME, "c4", **{**CASE, "operand0": None})


def test_c5_accepts_two_of_a_kind():
    got = result(NAME, **BITS, op1=nl.bitwise_or, operand1=0x100)
    assert np.array_equal(got, [[(int(w) & 0xFF) | 0x100 for w in row] for row in WORDS])


def test_c5_refuses_a_mixture():
    refused(NAME, "c5", **BITS, op1=nl.add, operand1=1)
    refused(NAME, "c5", **{**BITS, "op0": nl.add}, op1=nl.bitwise_and, operand1=1)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_c6_accepts_integers(dtype):
    data, column = sample(dtype, (4, 8), 1), sample(dtype, (4, 1), 2)
    for name, function in BITWISE.items():
        case = {"dst": out((4, 8), dtype), "data": sbuf(data), "op0": getattr(nl, name)}
        want = [[function(int(v), int(c[0])) for v in row] for row, c in zip(data, column, strict=True)]
        assert result(NAME, **case, operand0=sbuf(column)).tolist() == want
        assert result(NAME, **case, operand0=5).tolist() == [[function(int(v), 5) for v in row] for row in data]


def test_c6_refuses_floats_and_other_engines():
    refused(NAME, "c6", **{**BITS, "data": sbuf(X)})
    refused(NAME, "c6", **{**BITS, "dst": out((16, 24))})
    refused(NAME, "c6", **{**BITS, "operand0": sbuf(COLUMN)})
    refused(NAME, "c6", **{**BITS, "operand0": 255.0})
    refused(NAME, "c6", **BITS, engine=SCALAR)
    refused(NAME, "c6", **BITS, engine=GPSIMD)


@pytest.mark.parametrize("pattern", [0xFFFF0000, -65536])
def test_c7_accepts_every_pattern_of_the_width(pattern):
    for dtype in (np.int32, np.uint32):
        words = WORDS.view(dtype)
        case = {**BITS, "dst": out((16, 24), np.dtype(dtype).name), "data": sbuf(words), "operand0": pattern}
        assert np.array_equal(result(NAME, **case).view(np.uint32), WORDS.view(np.uint32) & np.uint32(0xFFFF0000))


def test_c7_refuses_wider_patterns():
    refused(NAME, "c7", **{**BITS, "operand0": 2**32})
    refused(NAME, "c7", **{**BITS, "operand0": -(2**31) - 1})
    bytes_ = {"dst": out((2, 2), "uint8"), "data": sbuf(np.ones((2, 2), np.uint8))}
    refused(NAME, "c7", **bytes_, op0=nl.bitwise_or, operand0=256)
    refused(NAME, "c7", **bytes_, op0=nl.bitwise_or, operand0=1, op1=nl.bitwise_or, operand1=256)


@pytest.mark.parametrize("name", ["square", "relu"])
def test_c8_accepts_square_and_relu_on_trn3(name):
    """Release notes, NKI 0.4.0: square and relu as op0 on trn3."""
    got = call(NAME, target="trn3", **{**CASE, "op0": getattr(nl, name), "operand0": None})["dst"]
    same(got, oracle("float32", X, (name, None, False)))


@pytest.mark.parametrize("name", ["abs_max", "abs_min"])
def test_c8_accepts_extremes_by_magnitude_on_trn3(name):
    pick = max if name == "abs_max" else min
    got = call(NAME, target="trn3", **{**CASE, "op0": getattr(nl, name), "operand0": -0.5})["dst"]
    assert got.tolist() == [[pick((-0.5, float(v)), key=abs) for v in row] for row in X]


@pytest.mark.parametrize("name", ["square", "relu", "abs_max", "abs_min"])
def test_c8_refuses_them_before_trn3(name):
    refused(NAME, "c8", **{**CASE, "op0": getattr(nl, name), "operand0": 0})
    refused(NAME, "c8", target="trn1", **{**CASE, "op0": getattr(nl, name), "operand0": 0})


@pytest.mark.parametrize("name", ["divide", "mod"])
def test_c8_refuses_what_no_engine_has(name):
    assert "reciprocal" in (refused(NAME, "c8", **{**CASE, "op0": name}).hint or "")
    refused(NAME, "c8", **CASE, op1=name, operand1=2.0)


@pytest.mark.parametrize("name", ["square", "relu"])
def test_c8_refuses_square_and_relu_as_second_operator(name):
    refused(NAME, "c8", target="trn3", **CASE, op1=getattr(nl, name))


@pytest.mark.parametrize("target", ["trn2", "trn3"])
def test_c9_accepts_the_three_combinations_on_scalar(target):
    for ops in ({"op0": nl.multiply, "op1": nl.add, "operand1": 1.0}, {"op0": nl.multiply}, {"op0": nl.add}):
        case = {**CASE, **ops}
        engine = call(NAME, target=target, **case, engine=SCALAR)["dst"]
        assert np.array_equal(engine, call(NAME, target=target, **case, engine=VECTOR)["dst"])


def test_c9_refuses_other_combinations_on_scalar():
    refused(NAME, "c9", **{**CASE, "op0": nl.subtract}, engine=SCALAR)
    refused(NAME, "c9", **{**CASE, "op0": nl.add}, op1=nl.multiply, operand1=1.0, engine=SCALAR)
    refused(NAME, "c9", **CASE, op1=nl.maximum, operand1=1.0, engine=SCALAR)
    refused(NAME, "c9", target="trn1", **CASE, engine=SCALAR)


def test_c10_accepts_rsqrt_and_power_on_gpsimd():
    for engine in (GPSIMD, nisa.engine.unknown):
        rsqrt = {**CASE, "data": sbuf(abs(X)), "op0": nl.rsqrt, "operand0": 0.0, "engine": engine}
        same(result(NAME, **rsqrt), oracle("float32", abs(X), ("rsqrt", None, False)))
        both = {**CASE, "data": sbuf(abs(X)), "op0": nl.add, "operand0": 1e-5, "op1": nl.rsqrt, "engine": engine}
        want = oracle("float32", abs(X), ("add", [single(1e-5)] * 16, False), ("rsqrt", None, False))
        same(result(NAME, **both), want)
        power = {
            "dst": out((1, 4)),
            "data": sbuf(np.array([[4, 9, 16, 0]], np.float32)),
            "op0": nl.power,
            "engine": engine,
        }
        assert result(NAME, **power, operand0=0.5).tolist() == [[2, 3, 4, 0]]
    assert price(NAME, **{**CASE, "data": sbuf(abs(X)), "op0": nl.rsqrt, "operand0": 0.0}).engine == "gpsimd"


def test_c10_refuses_operators_on_the_wrong_engine():
    refused(NAME, "c10", **{**CASE, "op0": nl.rsqrt, "operand0": 0.0}, engine=VECTOR)
    refused(NAME, "c10", **{**CASE, "op0": nl.power}, engine=VECTOR)
    refused(NAME, "c10", **CASE, engine=GPSIMD)


def test_c11_accepts_psum_on_vector_and_scalar():
    for engine in (VECTOR, SCALAR):
        case = {**CASE, "dst": out((16, 24), region=nl.psum), "data": psum(X)}
        assert np.array_equal(result(NAME, **case, engine=engine), X * 2)


def test_c11_refuses_psum_on_gpsimd():
    case = {**CASE, "op0": nl.rsqrt, "operand0": 0.0}
    refused(NAME, "c11", **{**case, "data": psum(X)})
    refused(NAME, "c11", **{**case, "dst": out((16, 24), region=nl.psum)})
    refused(NAME, "c11", **{**CASE, "op0": nl.power, "operand0": psum(COLUMN)})


SQUARE = {"dst": out((16, 16)), "data": sbuf(X[:, :16].copy()), "op0": nl.multiply, "operand0": 2.0}


def test_c12_accepts_scatters_into_sbuf_and_on_vector_into_psum():
    want = np.empty((16, 16), np.float32)
    for n, column in enumerate(ORDER):
        want[:, column] = X[:, n] * 2
    for engine, region in ((SCALAR, nl.sbuf), (VECTOR, nl.sbuf), (VECTOR, nl.psum)):
        case = {**SQUARE, "dst": indirect(out((16, 16), region=region))}
        assert np.array_equal(call(NAME, target="trn3", **case, engine=engine)["dst"], want)


def test_c12_refuses_scatters_into_psum_on_scalar():
    case = {**SQUARE, "dst": indirect(out((16, 16), region=nl.psum))}
    refused(NAME, "c12", target="trn3", **case, engine=SCALAR)


def test_c13_accepts_gathers_of_floats_and_bit_patterns():
    got = call(NAME, target="trn3", **{**SQUARE, "data": indirect(SQUARE["data"])})["dst"]
    assert np.array_equal(got, X[:, ORDER] * 2)
    words = WORDS[:, :16].copy()
    case = {"dst": out((16, 16), "int32"), "data": indirect(sbuf(words)), "op0": nl.bitwise_and, "operand0": 255}
    assert np.array_equal(call(NAME, target="trn3", **case)["dst"], words[:, ORDER] & 255)


def test_c13_refuses_gathers_in_address_arithmetic():
    words = WORDS[:, :16].copy()
    case = {"dst": out((16, 16), "int32"), "data": sbuf(words), "op0": nl.add, "operand0": 1}
    refused(NAME, "c13", target="trn3", **{**case, "data": indirect(case["data"])})
    refused(NAME, "c13", target="trn3", **{**case, "dst": indirect(case["dst"])})


PLACED = SQUARE
STARTS = np.arange(16).reshape(16, 1)


def placed(key, tensor, index):
    """PLACED with operand `key` at partition `tensor`, seen through an index at partition `index` that changes nothing."""
    return {**PLACED, key: replace(PLACED[key], address=(tensor, 0)).seen(through(STARTS, address=(index, 4096)))}


@pytest.mark.parametrize("key", ["dst", "data"])
def test_c14_accepts_indices_beside_their_data(key):
    want = call(NAME, target="trn3", **PLACED)["dst"]
    for start in (0, 32, 96):
        assert np.array_equal(call(NAME, target="trn3", **placed(key, start, start))["dst"], want)


def test_c14_refuses_indices_elsewhere():
    refused(NAME, "c14", target="trn3", **placed("data", 32, 64))
    refused(NAME, "c14", target="trn3", **placed("dst", 32, 16))
    beside = {**placed("dst", 32, 64), "data": replace(PLACED["data"], address=(32, 2048))}
    refused(NAME, "c14", target="trn3", **beside)


def test_the_public_examples():
    """nki/test/test_nki_isa_tensor_scalar.py: a - 1, 1 - c, and e * f + 2.5 with a vector f."""
    rng = np.random.default_rng(0)
    a, e, f = (rng.random(shape, np.float32) * 100 for shape in ((128, 512), (64, 1024), (64, 1)))
    case = {"dst": out((128, 512)), "data": sbuf(a), "op0": nl.subtract, "operand0": 1.0}
    assert np.allclose(result(NAME, **case), a - 1)
    assert np.allclose(result(NAME, **case, reverse0=True), 1 - a)
    case = {"dst": out((64, 1024)), "data": sbuf(e), "op0": nl.multiply, "operand0": sbuf(f)}
    assert np.allclose(result(NAME, **case, op1=nl.add, operand1=2.5), e * f + 2.5)


def test_meaning_of_counters():
    """Public kernels step int32 counters (add 128): float32 arithmetic, exact below 2**24 and rounded above."""
    counts = np.array([[0, 1, 2**24 - 130, 2**24 + 1, -(2**31)]], np.int32)
    got = result(NAME, dst=out((1, 5), "int32"), data=sbuf(counts), op0=nl.add, operand0=128)
    assert got.tolist() == [[128, 129, 2**24 - 2, 2**24 + 128, -(2**31) + 128]]
    got = result(NAME, dst=out((1, 5), "int32"), data=sbuf(counts), op0=nl.add, operand0=1)
    assert got.tolist() == [[1, 2, 2**24 - 129, 2**24, -(2**31)]]


@pytest.mark.parametrize("dtype", ["int32", "bfloat16", "uint8", "float16"])
def test_meaning_of_operand_columns_of_other_dtypes(dtype):
    column = sample(dtype, (16, 1), 5)
    same(
        result(NAME, **{**CASE, "op0": nl.maximum, "operand0": sbuf(column, dtype)}),
        oracle("float32", X, ("maximum", [v[0] for v in seen(column)], False)),
    )


def test_meaning_of_reversed_unary_operators():
    case = {**CASE, "op0": nl.abs, "operand0": 0.0, "reverse0": True, "op1": nl.reciprocal, "reverse1": True}
    same(result(NAME, **case), oracle("float32", X, ("abs", None, False), ("reciprocal", None, False)))
    native_equals_meaning(NAME, **case)


def test_meaning_of_shifts():
    words = np.array([[1, -1, -(2**31)]], np.int32)
    case = {"dst": out((1, 3), "int32"), "data": sbuf(words)}
    assert result(NAME, **case, op0=nl.left_shift, operand0=4).tolist() == [[16, -16, 0]]
    assert result(NAME, **case, op0=nl.right_shift, operand0=4).tolist() == [[0, 0x0FFFFFFF, 0x08000000]]
    got = result(NAME, **case, op0=nl.left_shift, operand0=1, reverse0=True, op1=nl.invert)
    assert got.tolist() == [[~2, ~0, ~0]]  # 1 << -1 and 1 << -(2**31): beyond the width


def test_meaning_rounds_after_each_operator_and_once_to_dst():
    x = np.array([[1 + 2.0**-12]], np.float32)
    case = {"data": sbuf(x), "op0": nl.multiply, "operand0": float(x[0, 0])}
    assert result(NAME, dst=out((1, 1)), **case, op1=nl.add, operand1=-1.0)[0, 0] == 2.0**-11
    got = result(NAME, dst=out((1, 1)), **{**case, "op0": nl.add, "operand0": 0.1})
    assert got[0, 0] == np.float32(single(float(x[0, 0]) + single(0.1)))


def test_meaning_between_shifted_views():
    def kernel(x):
        tile = nl.load(x)
        nisa.tensor_scalar(tile[:, 1:24], tile[:, 0:23], nl.add, 1.0)
        nisa.tensor_scalar(tile, tile, nl.multiply, tile[:, 0:1])
        nisa.dma_copy(dst=x, src=tile)
        return x

    moved = np.hstack([X[:, :1], X[:, :23] + 1])
    assert np.array_equal(opentrn.run(kernel)(X.copy()).results, moved * moved[:, :1])


UNARIES = ("abs", "reciprocal", "rsqrt")
STAGES = st.sampled_from([*sorted(BINARY), *UNARIES])


@settings(deadline=None, max_examples=150)
@given(
    st.tuples(*[st.sampled_from(DTYPES)] * 4), st.tuples(STAGES, st.one_of(st.none(), STAGES)),
    st.tuples(*[st.sampled_from(KINDS)] * 2), st.tuples(st.booleans(), st.booleans()),
    st.tuples(st.booleans(), st.booleans()), st.sampled_from([1, 3, 128]), st.integers(1, 6), SEED,
)  # fmt: skip
def test_meaning_is_the_operators_on_each_number(dtypes, ops, kinds, swaps, numbers, rows, columns, seed):
    goes, look = (window(kind, rows, columns) for kind in kinds)
    want, data = sample(dtypes[0], goes.shape, seed), sample(dtypes[1], look.shape, seed + 1)
    case, stages = {}, []
    for n, op in enumerate(ops):
        if op is None:
            continue
        column = sample(dtypes[2 + n], (rows, 1), seed + 2 + n)
        given_ = None if op in UNARIES else 0.3 if numbers[n] else sbuf(column, dtypes[2 + n])
        case |= {f"op{n}": getattr(nl, op), f"operand{n}": given_, f"reverse{n}": swaps[n]}
        stages.append((op, [single(0.3)] * rows if numbers[n] else [v[0] for v in seen(column)], swaps[n]))
    got = result(
        NAME, dst=sbuf(want.copy(), dtypes[0]).seen(goes.view), data=sbuf(data, dtypes[1]).seen(look.view), **case
    )
    cells = goes.look(want)
    cells[...] = oracle(dtypes[0], look.look(data), *stages).reshape(cells.shape)
    same(got, want)


@settings(deadline=None, max_examples=120)
@given(
    st.tuples(*[st.sampled_from(DTYPES)] * 4), st.tuples(STAGES, st.one_of(st.none(), STAGES)), st.sampled_from(KINDS),
    st.tuples(st.booleans(), st.booleans()), st.tuples(st.booleans(), st.booleans()), st.integers(1, 150), SEED,
)  # fmt: skip
def test_native_equals_meaning(dtypes, ops, kind, swaps, numbers, columns, seed):
    look = window(kind, 6, columns)
    case = {}
    for n, op in enumerate(ops):
        if op is not None:
            column = sbuf(sample(dtypes[2 + n], (6, 1), seed + 2 + n), dtypes[2 + n])
            case[f"op{n}"], case[f"reverse{n}"] = getattr(nl, op), swaps[n]
            case[f"operand{n}"] = 0.0 if op in UNARIES else -1.3 if numbers[n] else column
    data = sbuf(sample(dtypes[1], look.shape, seed + 1), dtypes[1])
    native_equals_meaning(NAME, dst=out((6, columns), dtypes[0]), data=data.seen(look.view), **case)


BIT_OPS = st.sampled_from([*BITWISE, "left_shift", "right_shift", "invert"])


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(INTEGERS), st.tuples(BIT_OPS, st.one_of(st.none(), BIT_OPS)), st.sampled_from(KINDS),
    st.tuples(st.booleans(), st.booleans()), st.tuples(st.booleans(), st.booleans()), st.integers(1, 80), SEED,
)  # fmt: skip
def test_native_equals_meaning_on_bits(dtype, ops, kind, swaps, numbers, columns, seed):
    look = window(kind, 6, columns)
    case = {}
    for n, op in enumerate(ops):
        if op is not None:
            column = sbuf(sample(dtype, (6, 1), seed + 2 + n))
            case[f"op{n}"], case[f"reverse{n}"] = getattr(nl, op), swaps[n]
            case[f"operand{n}"] = None if op == "invert" else (5, -3)[n] if numbers[n] else column
    data = sbuf(sample(dtype, look.shape, seed + 1))
    native_equals_meaning(NAME, dst=out((6, columns), dtype), data=data.seen(look.view), **case)


def test_bits_of_negative_zero_survive():
    zeros = np.array([[0.0, -0.0]], np.float32)
    got = result(NAME, dst=out((1, 2)), data=sbuf(zeros), op0=nl.multiply, operand0=-1.0)
    assert bits(got).tolist() == bits(-zeros).tolist()


def test_the_cost_on_each_engine():
    wide = np.ones((128, 512), np.float32)
    case = {**CASE, "dst": out((128, 512)), "data": sbuf(wide)}
    half = {**case, "dst": out((128, 512), "bfloat16"), "data": sbuf(cast(wide, "bfloat16"))}
    assert price(NAME, **case).busy_ns == pytest.approx(vector_ns(256))
    assert price(NAME, **case, op1=nl.add, operand1=1.0).busy_ns == pytest.approx(vector_ns(256))  # two cost the same
    column = price(NAME, **{**case, "operand0": sbuf(wide[:, :1])})
    assert column.busy_ns == pytest.approx(vector_ns(256 + 64))  # the column is read first
    assert price(NAME, **half).busy_ns == pytest.approx(vector_ns(128))
    assert price(NAME, **{**case, "data": psum(wide)}).busy_ns == pytest.approx(vector_ns(512))
    assert price(NAME, **case, engine=SCALAR).busy_ns == pytest.approx((STATIC + 512) / 1.2 + 31)
    root = price(NAME, **{**case, "op0": nl.rsqrt, "operand0": 0.0})
    power = price(NAME, **{**case, "op0": nl.power})
    assert root.busy_ns - power.busy_ns == pytest.approx(3 * 512 / 1.2)  # rsqrt: four times slower than ScalarE
