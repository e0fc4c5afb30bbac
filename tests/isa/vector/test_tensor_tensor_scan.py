"""tensor_tensor_scan: rules by label, meaning against a python loop, native core against the meaning."""

from __future__ import annotations

import numpy as np
import pytest
from harness import cast, native_equals_meaning, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

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
    assert np.array_equal(result("tensor_tensor_scan", **{**CASE, "data0": psum(X)}), result("tensor_tensor_scan", **CASE))


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
@given(st.sampled_from(sorted(PYTHON)), st.sampled_from(sorted(PYTHON)), st.sampled_from(["float32", "bfloat16"]), st.booleans())
def test_native_equals_meaning(op0, op1, dtype, column):
    left, right = (sbuf(RNG.standard_normal((6, 33)), dtype) for _ in range(2))
    initial = sbuf(RNG.standard_normal((6, 1)).astype(np.float32)) if column else 0.25
    native_equals_meaning("tensor_tensor_scan", dst=out((6, 33), dtype), data0=left, data1=right, initial=initial,
                          op0=getattr(nl, op0), op1=getattr(nl, op1))  # fmt: skip
