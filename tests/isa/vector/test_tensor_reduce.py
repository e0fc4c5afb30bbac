"""tensor_reduce: rules by label, meaning against float64 and python loops, native core against the meaning."""

from __future__ import annotations

import numpy as np
import pytest
from harness import cast, native_equals_meaning, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn.nki.language as nl

RNG = np.random.default_rng(3)
X = RNG.standard_normal((4, 3, 5)).astype(np.float32)
CASE = {"dst": out((4, 3)), "op": nl.add, "data": sbuf(X), "axis": 2}


@pytest.mark.parametrize("axis", [2, -1, [2], (1, 2), [2, 1]])
def test_c1_accepts_trailing_axes(axis):
    both = isinstance(axis, (tuple, list)) and len(axis) == 2
    got = result("tensor_reduce", dst=out((4, 1) if both else (4, 3)), op=nl.maximum, data=sbuf(X), axis=axis)
    assert np.array_equal(got, X.max((1, 2))[:, None] if both else X.max(2))


@pytest.mark.parametrize("axis", [0, 1, (0, 1, 2), (0, 2), 3, ()])
def test_c1_refuses_other_axes(axis):
    refused("tensor_reduce", "c1", **{**CASE, "axis": axis})


def test_c2_accepts_equal_partitions():
    assert result("tensor_reduce", **CASE).shape == (4, 3)


def test_c2_refuses_other_partitions():
    refused("tensor_reduce", "c2", **{**CASE, "dst": out((5, 3))})


def test_c3_accepts_other_ranks():
    assert result("tensor_reduce", **{**CASE, "dst": out((4, 3, 1)), "keepdims": True}).shape == (4, 3, 1)


def test_c3_refuses_another_count():
    refused("tensor_reduce", "c3", **{**CASE, "dst": out((4, 5))})


@pytest.mark.parametrize("op", [nl.add, nl.multiply, nl.maximum, nl.minimum, nl.subtract, nl.logical_and])
def test_c4_accepts_reductions(op):
    assert np.isfinite(result("tensor_reduce", **{**CASE, "op": op})).all()


@pytest.mark.parametrize("op", [nl.equal, nl.power, nl.exp, nl.abs, nl.divide])
def test_c4_refuses_others(op):
    label = "op.value" if op is nl.exp else "c4"
    refused("tensor_reduce", label, **{**CASE, "op": op})


def test_c5_accepts_integers_for_bitvec():
    bits = RNG.integers(0, 255, (4, 9)).astype(np.uint8)
    got = result("tensor_reduce", dst=out((4, 1), "uint8"), op=nl.bitwise_or, data=sbuf(bits), axis=1)
    assert got[:, 0].tolist() == [int(np.bitwise_or.reduce(row)) for row in bits]


def test_c5_refuses_floats_and_negate():
    refused("tensor_reduce", "c5", **{**CASE, "op": nl.bitwise_and})
    bits = sbuf(np.ones((4, 9), np.uint8))
    refused("tensor_reduce", "c5", dst=out((4, 1), "uint8"), op=nl.bitwise_or, data=bits, axis=1, negate=True)


OPS = {"add": np.sum, "multiply": np.prod, "maximum": np.max, "minimum": np.min}


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(sorted(OPS)), st.sampled_from(["float32", "bfloat16", "float16", "float8_e4m3", "int32", "uint8"]),
    st.sampled_from(KINDS), st.sampled_from([1, 3, 128]), st.integers(1, 40), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_the_reduction_in_float32(op, dtype, kind, partitions, elements, negate, seed):
    w = window(kind, partitions, elements)
    values = cast(np.random.default_rng(seed).uniform(0.5, 1.5, w.shape) if op == "multiply" else
                  np.random.default_rng(seed).integers(0, 100, w.shape), dtype)  # fmt: skip
    rank = len(w.look(values).shape)
    got = result("tensor_reduce", dst=out((partitions, 1)), op=getattr(nl, op), data=sbuf(values, dtype).seen(w.view),
                 axis=list(range(1, rank)), negate=negate)[:, 0]  # fmt: skip
    exact = OPS[op](w.look(values).astype(np.float64).reshape(partitions, -1), axis=1)
    assert np.allclose(-got if negate else got, exact, rtol=elements * 2e-7, atol=0)


def test_negate_of_a_bf16_result_rounds_once():
    got = result("tensor_reduce", dst=out((4, 3), "bfloat16"), op=nl.add, data=sbuf(X), axis=2, negate=True)
    assert np.abs(got.astype(np.float64) + X.astype(np.float64).sum(2)).max() < 2**-7


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(OPS)), st.sampled_from(["float32", "bfloat16"]), st.sampled_from(KINDS), st.integers(1, 70))
def test_native_equals_meaning(op, dtype, kind, elements):
    w = window(kind, 5, elements)
    data = sbuf(RNG.standard_normal(w.shape), dtype).seen(w.view)
    rank = 2 if kind in ("whole", "late", "stepped") else 3
    native_equals_meaning("tensor_reduce", dst=out((5, 1), dtype), op=getattr(nl, op), data=data, axis=list(range(1, rank)))
