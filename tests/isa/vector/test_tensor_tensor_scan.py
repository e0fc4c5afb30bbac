"""tensor_tensor_scan: rules by label, meaning against a python loop, native core against the meaning."""

from __future__ import annotations

import numpy as np
import pytest
from harness import cast, native_equals_meaning, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from prices import price
from scalars import BINARY, DTYPES, rounded, same, sample, seen
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

RNG = np.random.default_rng(4)
X, Y = (RNG.uniform(0.5, 1.5, (4, 7)).astype(np.float32) for _ in range(2))
CASE = {"dst": out((4, 7)), "data0": sbuf(X), "data1": sbuf(Y), "initial": 0.0, "op0": nl.multiply, "op1": nl.add}
PYTHON = {
    "add": lambda a, b: a + b, "subtract": lambda a, b: a - b, "multiply": lambda a, b: a * b,
    "maximum": max, "minimum": min,
}  # fmt: skip


def scan(left, right, start, op0, op1, reverse0=False, reverse1=False):
    """The documented recurrence, element by element, every step rounded to float32."""
    result = np.empty(left.shape, np.float32)
    for p in range(len(left)):
        r = np.float32(start[p])
        for i in range(left.shape[1]):
            x, y = np.float32(left[p, i]), np.float32(right[p, i])
            first = np.float32(PYTHON[op0](r, x) if reverse0 else PYTHON[op0](x, r))
            r = np.float32(PYTHON[op1](y, first) if reverse1 else PYTHON[op1](first, y))
            result[p, i] = r
    return result


def test_c1_accepts_other_ranks():
    got = result("tensor_tensor_scan", **{**CASE, "dst": out((4, 7, 1))})
    assert np.array_equal(got.reshape(4, 7), scan(X, Y, np.zeros(4), "multiply", "add"))


def test_c1_refuses_other_sizes():
    refused("tensor_tensor_scan", "c1", **{**CASE, "data1": sbuf(Y[:, :6])})


def test_c2_accepts_a_column():
    start = np.arange(4, dtype=np.float32)[:, None]
    got = result("tensor_tensor_scan", **{**CASE, "initial": sbuf(start)})
    assert np.array_equal(got, scan(X, Y, start[:, 0], "multiply", "add"))


def test_c2_refuses_a_row():
    refused("tensor_tensor_scan", "c2", **{**CASE, "initial": sbuf(np.ones((4, 2), np.float32))})


def test_c3_accepts_one_input_in_psum():
    assert np.array_equal(
        result("tensor_tensor_scan", **{**CASE, "data0": psum(X)}), result("tensor_tensor_scan", **CASE)
    )


def test_c3_refuses_both_in_psum():
    refused("tensor_tensor_scan", "c3", **{**CASE, "data0": psum(X), "data1": psum(Y)})


def test_c4_accepts_maximum():
    got = result("tensor_tensor_scan", **{**CASE, "op0": nl.maximum, "op1": nl.maximum, "initial": -9.0})
    assert np.array_equal(got, np.maximum.accumulate(np.maximum(X, Y), 1))


@pytest.mark.parametrize("op", [nl.bitwise_and, nl.abs, nl.divide])
def test_c4_refuses_bitvec_unary_and_missing_operators(op):
    refused("tensor_tensor_scan", "c4", **{**CASE, "op0": op})


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(PYTHON)), st.sampled_from(sorted(PYTHON)), st.booleans(), st.booleans(),
    st.sampled_from(["float32", "bfloat16", "int32"]), st.sampled_from(KINDS), st.sampled_from([1, 5, 128]), st.integers(1, 12),
)  # fmt: skip
def test_meaning_is_the_documented_recurrence(op0, op1, reverse0, reverse1, dtype, kind, partitions, elements):
    w = window(kind, partitions, elements)
    left, right = (cast(RNG.integers(-3, 4, w.shape), dtype) for _ in range(2))
    got = result("tensor_tensor_scan", dst=out((partitions, elements)), data0=sbuf(left, dtype).seen(w.view),
                 data1=sbuf(right, dtype).seen(w.view), initial=1.5, op0=getattr(nl, op0), op1=getattr(nl, op1),
                 reverse0=reverse0, reverse1=reverse1)  # fmt: skip
    flat = [w.look(v).astype(np.float32).reshape(partitions, -1) for v in (left, right)]
    assert np.array_equal(got, scan(*flat, np.full(partitions, 1.5), op0, op1, reverse0, reverse1))


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(sorted(PYTHON)),
    st.sampled_from(sorted(PYTHON)),
    st.sampled_from(["float32", "bfloat16"]),
    st.booleans(),
)
def test_native_equals_meaning(op0, op1, dtype, column):
    left, right = (sbuf(RNG.standard_normal((6, 33)), dtype) for _ in range(2))
    initial = sbuf(RNG.standard_normal((6, 1)).astype(np.float32)) if column else 0.25
    native_equals_meaning("tensor_tensor_scan", dst=out((6, 33), dtype), data0=left, data1=right, initial=initial,
                          op0=getattr(nl, op0), op1=getattr(nl, op1))  # fmt: skip


@pytest.mark.parametrize("number", [2, np.float32(2), np.int32(2), 2.0])
def test_c2_accepts_every_kind_of_number(number):
    assert np.array_equal(
        result("tensor_tensor_scan", **{**CASE, "initial": number}), scan(X, Y, [2] * 4, "multiply", "add")
    )


def test_c2_accepts_the_last_column_of_a_tile():
    """cumsum of nki-library carries on from a column of a wider tile."""
    got = result("tensor_tensor_scan", **{**CASE, "initial": sbuf(Y).seen(lambda t: t[:, 6:7])})
    assert np.array_equal(got, scan(X, Y, Y[:, 6], "multiply", "add"))


@pytest.mark.parametrize("name", ["abs_max", "left_shift", "rsqrt", "invert", "average", "mod"])
def test_c4_refuses_these_as_op1_on_trn2(name):
    refused("tensor_tensor_scan", "c4", **{**CASE, "op1": name})


def test_c4_accepts_abs_max_on_trn3():
    got = result("tensor_tensor_scan", target="trn3", **{**CASE, "data0": sbuf(-X), "op1": nl.abs_max, "initial": 1.0})
    state = [1.0] * 4
    for i in range(7):
        pairs = [(np.float32(-X[p, i]) * np.float32(state[p]), Y[p, i]) for p in range(4)]
        state = [a if abs(a) > abs(b) else b for a, b in pairs]
        assert got[:, i].tolist() == [float(s) for s in state]


def test_the_public_example():
    """nki/test/test_nki_isa_tensor_tensor_scan.py: the second half carries on from column 511 of the first."""

    def kernel(a_tensor, b_tensor):
        a, b = nl.load(a_tensor), nl.load(b_tensor)
        c = nl.ndarray((128, 1024), dtype=nl.float32)
        ops = {"op0": np.multiply, "op1": np.add}
        nisa.tensor_tensor_scan(c[:, 0:512], a[:, 0:512], b[:, 0:512], initial=0, **ops)
        nisa.tensor_tensor_scan(c[:, 512:1024], a[:, 512:1024], b[:, 512:1024], initial=c[:, 511], **ops)
        result = nl.ndarray(c.shape, dtype=nl.float32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result, src=c)
        return result

    rng = np.random.default_rng(0)
    a, b = (rng.random((128, 1024), np.float32) for _ in range(2))
    state = np.zeros(128)
    golden = np.stack([state := a[:, i] * state + b[:, i] for i in range(1024)], 1)
    assert np.allclose(opentrn.run(kernel)(a, b).results, golden)


@pytest.mark.parametrize("key", ["data0", "data1"])
def test_dst_may_alias_an_input(key):
    def kernel(a, b):
        tiles = {"data0": nl.load(a), "data1": nl.load(b)}
        nisa.tensor_tensor_scan(dst=tiles[key], **tiles, initial=0.0, op0=nl.multiply, op1=nl.add)
        result = nl.ndarray(a.shape, dtype=nl.float32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result, src=tiles[key])
        return result

    assert np.array_equal(opentrn.run(kernel)(X, Y).results, scan(X, Y, np.zeros(4), "multiply", "add"))


def test_the_state_is_not_rounded_to_dst():
    """Steps of a quarter would all be lost if the state were an int8."""
    ones, quarters = np.ones((1, 8), np.float32), np.full((1, 8), 0.25, np.float32)
    got = result(
        "tensor_tensor_scan", **{**CASE, "dst": out((1, 8), "int8"), "data0": sbuf(ones), "data1": sbuf(quarters)}
    )
    assert got.tolist() == [[0, 0, 1, 1, 1, 2, 2, 2]]


EVERY = (
    st.sampled_from(sorted(BINARY)), st.sampled_from(sorted(BINARY)), st.booleans(), st.booleans(),
    st.tuples(*[st.sampled_from(DTYPES)] * 3), st.sampled_from(KINDS), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip


def every_case(op0, op1, reverse0, reverse1, dtypes, kind, column, seed, rows, count):
    """A call through one kind of window, with the plain arrays of data0, data1 and the start that it sees."""
    look, (first, second, target) = window(kind, rows, count), dtypes
    a, b = sample(first, look.shape, seed), sample(second, look.shape, seed + 1)
    start = sample("float32", (rows, 1), seed + 2) if column else np.full((rows, 1), 1.5, np.float32)
    case = {
        "dst": sbuf(np.zeros(look.shape), target).seen(look.view), "data0": sbuf(a, first).seen(look.view),
        "data1": sbuf(b, second).seen(look.view), "initial": sbuf(start) if column else 1.5,
        "op0": getattr(nl, op0), "op1": getattr(nl, op1), "reverse0": reverse0, "reverse1": reverse1,
    }  # fmt: skip
    return case, [seen(look.look(x)) for x in (a, b)], start[:, 0].tolist(), look.look


@settings(deadline=None, max_examples=80)
@given(*EVERY, st.integers(1, 9))
def test_meaning_with_special_values_and_every_dtype(op0, op1, reverse0, reverse1, dtypes, kind, column, seed, count):
    case, inputs, start, look = every_case(op0, op1, reverse0, reverse1, dtypes, kind, column, seed, 3, count)
    rows = []
    for *pair, state in zip(*inputs, start, strict=True):
        row = []
        for x, y in zip(*pair, strict=True):
            middle = BINARY[op0](state, x) if reverse0 else BINARY[op0](x, state)
            state = BINARY[op1](y, middle) if reverse1 else BINARY[op1](middle, y)
            row.append(state)
        rows.append(row)
    same(look(result("tensor_tensor_scan", **case)), rounded(rows, dtypes[2]))


@pytest.mark.parametrize("shape", [(1, 1), (128, 1), (1, 300), (128, 3)])
def test_meaning_at_the_edges(shape):
    a, b = (RNG.uniform(0.5, 1.5, shape).astype(np.float32) for _ in range(2))
    got = result("tensor_tensor_scan", **{**CASE, "dst": out(shape), "data0": sbuf(a), "data1": sbuf(b)})
    assert np.array_equal(got, scan(a, b, np.zeros(shape[0]), "multiply", "add"))


@settings(deadline=None, max_examples=60)
@given(st.tuples(*EVERY, st.sampled_from([1, 3, 16, 17, 35]), st.sampled_from([1, 2, 63, 64, 65, 200])))
def test_native_equals_meaning_for_every_dtype_view_and_size(drawn):
    native_equals_meaning("tensor_tensor_scan", **every_case(*drawn)[0])


def test_a_tile_as_initial_costs_more():
    number, tile = (price("tensor_tensor_scan", **{**CASE, "initial": i}) for i in (0.0, sbuf(X[:, :1])))
    assert tile.busy_ns - number.busy_ns == pytest.approx(64 / 0.96)  # a tile is read first (measured: 60 ns)
    assert tile.latency_ns == number.latency_ns
    assert price("tensor_tensor_scan", target="trn1", **{**CASE, "initial": sbuf(X[:, :1])}).busy_ns > 0
