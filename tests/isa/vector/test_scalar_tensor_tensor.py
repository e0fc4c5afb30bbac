"""scalar_tensor_tensor: rules by label, meaning against single Python numbers, native core against the meaning."""

from __future__ import annotations

import numpy as np
import pytest
from harness import call, cast, native_equals_meaning, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from prices import price, vector_ns
from scalars import BINARY, DTYPES, rounded, same, sample, seen, single
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.program import native

NAME = "scalar_tensor_tensor"
RNG = np.random.default_rng(61)
X, Y = (RNG.standard_normal((16, 24)).astype(np.float32) for _ in range(2))
COLUMN = RNG.standard_normal((16, 1)).astype(np.float32)
CASE = {
    "dst": out((16, 24)), "data": sbuf(X), "op0": nl.multiply, "operand0": 3.0, "op1": nl.add, "operand1": sbuf(Y),
}  # fmt: skip
SEED = st.integers(0, 2**32 - 1)
OPS = st.sampled_from(sorted(BINARY))


def oracle(dtype, data, op0, first, op1, second, swaps=(False, False)):
    """(data op0 first) op1 second; `first` one Python number per partition."""
    rows = []
    for row, number, others in zip(seen(data), first, seen(second), strict=True):
        made = []
        for value, other in zip(row, others, strict=True):
            middle = BINARY[op0](number, value) if swaps[0] else BINARY[op0](value, number)
            made.append(BINARY[op1](other, middle) if swaps[1] else BINARY[op1](middle, other))
        rows.append(made)
    return rounded(rows, dtype)


def test_c1_accepts_other_ranks():
    got = result(NAME, **{**CASE, "dst": out((16, 2, 12)), "operand1": sbuf(Y.reshape(16, 4, 6))})
    assert np.array_equal(got.reshape(16, 24), X * np.float32(3) + Y)


def test_c1_refuses_other_sizes():
    refused(NAME, "c1", **{**CASE, "operand1": sbuf(Y[:, :23])})
    refused(NAME, "c1", **{**CASE, "operand1": sbuf(Y[:, :1])})
    refused(NAME, "c1", **{**CASE, "dst": out((8, 48))})


def test_c2_accepts_a_number_or_a_column():
    for operand, values in (
        (2, [2.0] * 16),
        (sbuf(COLUMN), COLUMN),
        (psum(COLUMN), COLUMN),
        (sbuf(COLUMN[:, :, None]), COLUMN),
    ):
        got = result(NAME, **{**CASE, "operand0": operand})
        same(got, oracle("float32", X, "multiply", [float(np.ravel(v)[0]) for v in values], "add", Y))


def test_c2_refuses_other_shapes():
    refused(NAME, "c2", **{**CASE, "operand0": sbuf(X[:, :2])})
    refused(NAME, "c2", **{**CASE, "operand0": sbuf(COLUMN[:8])})


@pytest.mark.parametrize(("left", "right"), [(sbuf, sbuf), (sbuf, psum), (psum, sbuf)])
def test_c3_accepts_one_of_them_in_psum(left, right):
    got = result(NAME, **{**CASE, "data": left(X), "operand1": right(Y), "dst": out((16, 24), region=nl.psum)})
    assert np.array_equal(got, X * np.float32(3) + Y)


def test_c3_refuses_both_in_psum():
    refused(NAME, "c3", **{**CASE, "data": psum(X), "operand1": psum(Y)})


@pytest.mark.parametrize("name", sorted(BINARY))
def test_c4_accepts_arithmetic_operators(name):
    got = result(NAME, **{**CASE, "op0": getattr(nl, name), "op1": nl.subtract})
    same(got, oracle("float32", X, name, [3.0] * 16, "subtract", Y))


@pytest.mark.parametrize("name", ["bitwise_and", "left_shift", "invert", "abs", "rsqrt", "divide", "mod", "abs_max"])
def test_c4_refuses_bitvec_unary_and_missing_operators(name):
    refused(NAME, "c4", **{**CASE, "op0": name})
    refused(NAME, "c4", **{**CASE, "op1": name})


def test_c5_accepts_what_the_vector_engine_has():
    assert price(NAME, **{**CASE, "op0": nl.maximum}).engine == "vector"


def test_c5_refuses_power():
    refused(NAME, "c5", **{**CASE, "op0": nl.power})
    refused(NAME, "c5", **{**CASE, "op1": nl.power})


@pytest.mark.parametrize("swaps", [(False, False), (True, False), (False, True), (True, True)])
def test_meaning_of_reversed_operands(swaps):
    case = {**CASE, "op0": nl.subtract, "op1": nl.subtract, "reverse0": swaps[0], "reverse1": swaps[1]}
    same(result(NAME, **case), oracle("float32", X, "subtract", [3.0] * 16, "subtract", Y, swaps))


def test_meaning_rounds_after_each_operator_and_once_to_dst():
    x, y = np.array([[1 + 2.0**-12]], np.float32), np.array([[-1.0]], np.float32)
    case = {"data": sbuf(x), "op0": nl.multiply, "operand0": float(x[0, 0]), "op1": nl.add, "operand1": sbuf(y)}
    assert result(NAME, dst=out((1, 1)), **case)[0, 0] == 2.0**-11  # not fused: 2**-24 is rounded away
    wide = {"data": sbuf(np.array([[257.0]], np.float32)), "op0": nl.add, "operand0": 0.0, "op1": nl.add}
    got = result(NAME, dst=out((1, 1), "bfloat16"), **wide, operand1=sbuf(np.array([[0.0625]], np.float32)))
    assert float(got[0, 0]) == 258.0  # 257.0625 to bfloat16; 257 first would tie to 256


def test_meaning_in_place():
    def kernel(x):
        tile = nl.load(x)
        nisa.scalar_tensor_tensor(tile, tile, nl.multiply, 2.0, nl.subtract, tile)
        nisa.dma_copy(dst=x, src=tile)
        return x

    assert np.array_equal(opentrn.run(kernel)(X.copy()).results, X)


@settings(deadline=None, max_examples=120)
@given(
    st.tuples(*[st.sampled_from(DTYPES)] * 4), st.tuples(OPS, OPS), st.tuples(*[st.sampled_from(KINDS)] * 3),
    st.tuples(st.booleans(), st.booleans()), st.sampled_from([1, 3, 128]), st.integers(1, 6), st.booleans(), SEED,
)  # fmt: skip
def test_meaning_is_two_operators_on_each_number(dtypes, ops, kinds, swaps, rows, columns, number, seed):
    goes, look, other = (window(kind, rows, columns) for kind in kinds)
    want, x, y = (
        sample(d, w.shape, seed + n) for n, (d, w) in enumerate(zip(dtypes, (goes, look, other), strict=False))
    )
    column = sample(dtypes[3], (rows, 1), seed + 3)
    got = result(
        NAME, dst=sbuf(want.copy(), dtypes[0]).seen(goes.view), data=sbuf(x, dtypes[1]).seen(look.view),
        op0=getattr(nl, ops[0]), operand0=-1.7 if number else sbuf(column, dtypes[3]), op1=getattr(nl, ops[1]),
        operand1=sbuf(y, dtypes[2]).seen(other.view), reverse0=swaps[0], reverse1=swaps[1],
    )  # fmt: skip
    first = [single(-1.7)] * rows if number else [v[0] for v in seen(column)]
    cells = goes.look(want)
    cells[...] = oracle(dtypes[0], look.look(x), ops[0], first, ops[1], other.look(y), swaps).reshape(cells.shape)
    same(got, want)


@settings(deadline=None, max_examples=100)
@given(
    st.tuples(*[st.sampled_from(DTYPES)] * 4), st.tuples(OPS, OPS), st.sampled_from(KINDS), st.sampled_from(KINDS),
    st.tuples(st.booleans(), st.booleans()), st.integers(1, 150), st.booleans(), SEED,
)  # fmt: skip
def test_native_equals_meaning(dtypes, ops, kind, other, swaps, columns, number, seed):
    look, second = window(kind, 6, columns), window(other, 6, columns)
    column = sbuf(sample(dtypes[3], (6, 1), seed + 2), dtypes[3])
    native_equals_meaning(
        NAME, dst=out((6, columns), dtypes[0]), data=sbuf(sample(dtypes[1], look.shape, seed), dtypes[1]).seen(look.view),
        op0=getattr(nl, ops[0]), operand0=0.3 if number else column, op1=getattr(nl, ops[1]),
        operand1=sbuf(sample(dtypes[2], second.shape, seed + 1), dtypes[2]).seen(second.view),
        reverse0=swaps[0], reverse1=swaps[1],
    )  # fmt: skip


def test_native_runs_numbers():
    if not native.available():
        pytest.skip("the compiled core is not in use here")

    def kernel(x, y):
        tile, other = nl.load(x), nl.load(y)
        nisa.scalar_tensor_tensor(tile, tile, nl.multiply, 3.0, nl.add, other)
        nisa.dma_copy(dst=x, src=tile)
        return x

    report = opentrn.run(kernel)(X.copy(), Y)
    assert next(s for s in report.steps if s.instruction.name == NAME).native is not None


def test_the_cost():
    wide = np.ones((128, 512), np.float32)
    case = {**CASE, "dst": out((128, 512)), "data": sbuf(wide), "operand1": sbuf(wide)}
    assert price(NAME, **case).busy_ns == pytest.approx(vector_ns(512))
    assert price(NAME, target="trn1", **case).busy_ns == pytest.approx((60 + 2 * 512) / 1.12)
    half = sbuf(cast(wide, "bfloat16"))
    quick = {**case, "data": half, "operand1": half, "op0": nl.subtract, "op1": nl.multiply}
    assert price(NAME, **quick).busy_ns == pytest.approx(vector_ns(512))


def test_it_runs_on_every_chip():
    for target in ("trn1", "trn2", "trn3"):
        assert np.array_equal(call(NAME, target=target, **CASE)["dst"], X * np.float32(3) + Y)
