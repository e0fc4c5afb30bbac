"""activation_reduce: rules by label, meaning as activation with reset_reduce and against Python's math."""

from __future__ import annotations

import math

import numpy as np
from functions import FUNCTIONS, POSITIVE, apply, rounded, steps_apart
from gathered import columns, through
from harness import call, inside, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

RNG = np.random.default_rng(6)
X = RNG.uniform(-3, 3, (16, 24)).astype(np.float32)
B = RNG.uniform(-1, 1, (16, 1)).astype(np.float32)
CASE = {"dst": out((16, 24)), "op": nl.copy, "data": sbuf(X), "reduce_op": nl.add, "reduce_res": out((16, 1))}


def test_c1_accepts_other_ranks():
    assert np.array_equal(result("activation_reduce", **CASE | {"dst": out((16, 4, 6))}).reshape(16, 24), X)


def test_c1_refuses_other_sizes():
    refused("activation_reduce", "c1", **CASE | {"dst": out((16, 25))})


def test_c2_accepts_columns_and_numbers_and_no_result():
    call("activation_reduce", **CASE, scale=sbuf(B), bias=psum(B, "bfloat16"))
    call("activation_reduce", **CASE | {"reduce_res": out((16, 1), "bfloat16", nl.psum)}, scale=2, bias=1.5)
    call("activation_reduce", **CASE | {"reduce_res": None})


def test_c2_refuses_rows():
    refused("activation_reduce", "c2", **CASE, scale=sbuf(X))
    refused("activation_reduce", "c2", **CASE, bias=sbuf(X))
    refused("activation_reduce", "c2", **CASE | {"reduce_res": out((16, 2))})


def test_c3_accepts_a_column_on_trn1():
    call("activation_reduce", target="trn1", **CASE, bias=sbuf(B))


def test_c3_refuses_a_number_on_trn1():
    refused("activation_reduce", "c3", target="trn1", **CASE, bias=0.5)


def test_c4_accepts_add():
    call("activation_reduce", target="trn1", **CASE)


def test_c4_refuses_maximum():
    refused("activation_reduce", "c4", **CASE | {"reduce_op": nl.maximum})


def test_c5_accepts_a_gather_on_trn3():
    index = np.argsort(RNG.random(24))[:16].reshape(16, 1)
    got = call("activation_reduce", target="trn3",
               **CASE | {"dst": out((16, 16)), "data": sbuf(np.round(X)).seen(through(index))})  # fmt: skip
    want = np.round(X)[:, columns(index, 16, 0)]
    assert np.array_equal(got["dst"], want)
    assert np.array_equal(got["reduce_res"], want.sum(1, keepdims=True))


def test_c5_refuses_a_scatter_into_psum():
    into = out((16, 24), region=nl.psum).seen(through(np.arange(16).reshape(16, 1)))
    refused("activation_reduce", "c5", target="trn3", **CASE | {"dst": into, "data": sbuf(X[:, :16])})


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(FUNCTIONS)), st.sampled_from(["float32", "bfloat16", "int16"]),
    st.sampled_from(["float32", "bfloat16", "float8_e5m2"]), st.sampled_from(KINDS), st.sampled_from([1, 3, 128]),
    st.sampled_from([1, 2, 7, 40]), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning(name, source, target, kind, partitions, elements, vectors, seed):
    """The sum is of the float32 results, whatever dst is rounded to: within elements * eps of the exact sum."""
    rng, seen = np.random.default_rng(seed), window(kind, partitions, elements)
    data = sbuf(rng.uniform(1 if name in POSITIVE else -3, 3, seen.shape), source)
    scale, bias = np.abs(rng.uniform(0.2, 1, (2, partitions, 1))).astype(np.float32)
    got = call("activation_reduce", dst=out((partitions, elements), target), op=getattr(nl, name),
               data=data.seen(seen.view), reduce_op=nl.add, reduce_res=out((partitions, 1)),
               scale=sbuf(scale) if vectors else 0.5, bias=sbuf(bias) if vectors else None)  # fmt: skip
    x = np.asarray(seen.look(data.data)).reshape(partitions, -1).astype(np.float64)
    affine = ((x * (scale if vectors else 0.5)).astype(np.float32) + (bias if vectors else 0)).astype(np.float32)
    want = apply(name, affine)
    assert steps_apart(got["dst"], rounded(want, target)) <= 1
    for row, total in zip(want, got["reduce_res"][:, 0], strict=True):
        bound = (elements + 2) * 2.0**-23 * math.fsum(abs(float(v)) for v in row)
        assert abs(math.fsum(float(v) for v in row) - float(total)) <= bound + 1e-45


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(["exp", "square", "gelu"]), st.integers(1, 128), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_meaning_is_activation_with_reset_reduce(name, partitions, elements, seed):
    x = np.random.default_rng(seed).uniform(-2, 2, (partitions, elements)).astype(np.float32)
    case = {"dst": out(x.shape), "op": getattr(nl, name), "data": sbuf(x), "reduce_op": nl.add,
            "reduce_res": out((partitions, 1)), "scale": 0.5, "bias": 0.25}  # fmt: skip
    one, two = call("activation_reduce", **case), call("activation", **case, reduce_cmd=nisa.reduce_cmd.reset_reduce)
    assert all(np.array_equal(one[key], two[key]) for key in ("dst", "reduce_res"))


def test_the_registers_are_those_of_activation():
    """It resets them first, and leaves its sum there for activation to go on from."""

    @inside
    def _():
        x, total = nl.ndarray((16, 24), dtype=nl.float32), nl.ndarray((16, 1), dtype=nl.float32)
        inside.core().fill(x, np.round(X))
        nisa.activation(x, nl.copy, x, reduce_op=nl.add, reduce_cmd=nisa.reduce_cmd.reset_reduce)
        nisa.activation_reduce(x, nl.copy, x, nl.add, None)
        nisa.activation(x, nl.copy, x, reduce_op=nl.add, reduce_cmd=nisa.reduce_cmd.reduce, reduce_res=total)
        assert np.array_equal(total.numpy(), 2 * np.round(X).sum(1, keepdims=True))


def test_reduce_res_that_aliases_dst_keeps_the_sum():
    @inside
    def _():
        x, dst = nl.ndarray((16, 24), dtype=nl.float32), nl.ndarray((16, 24), dtype=nl.float32)
        inside.core().fill(x, np.round(X))
        nisa.activation_reduce(dst, nl.copy, x, nl.add, dst[:, 5:6])
        assert np.array_equal(dst.numpy()[:, 5], np.round(X).sum(1))
