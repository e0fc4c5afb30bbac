"""tensor_scalar_cumulative: rules by label, meaning against the documented loop."""

from __future__ import annotations

import numpy as np
import pytest
from harness import call, cast, inside, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

RNG = np.random.default_rng(6)
X = RNG.integers(-4, 5, (4, 9)).astype(np.float32)
CASE = {"dst": out((4, 9)), "src": sbuf(X), "op0": nl.multiply, "op1": nl.add, "imm0": 2.0}
PYTHON = {
    "add": lambda a, b: a + b, "subtract": lambda a, b: a - b, "multiply": lambda a, b: a * b,
    "maximum": max, "minimum": min,
}  # fmt: skip
START = {"add": 0.0, "subtract": 0.0, "multiply": 1.0, "maximum": -np.inf, "minimum": np.inf}


def loop(values, op0, imm0, op1, start=None):
    """The documented pseudo code."""
    result = np.empty(values.shape, np.float32)
    for p in range(len(values)):
        reg = np.float32(START[op1] if start is None else start)
        for i in range(values.shape[1]):
            reg = np.float32(PYTHON[op1](np.float32(PYTHON[op0](np.float32(values[p, i]), np.float32(imm0))), reg))
            result[p, i] = reg
    return result


def test_c1_accepts_other_ranks():
    got = result("tensor_scalar_cumulative", **{**CASE, "dst": out((4, 3, 3))})
    assert np.array_equal(got.reshape(4, 9), np.cumsum(X * 2, 1))


def test_c1_refuses_other_sizes():
    refused("tensor_scalar_cumulative", "c1", **{**CASE, "dst": out((4, 8))})


def test_c2_accepts_a_column():
    scale = np.arange(4, dtype=np.float32)[:, None]
    assert np.array_equal(result("tensor_scalar_cumulative", **{**CASE, "imm0": sbuf(scale)}), np.cumsum(X * scale, 1))


def test_c2_refuses_a_row():
    refused("tensor_scalar_cumulative", "c2", **{**CASE, "imm0": sbuf(X)})


def test_c3_accepts_maximum():
    assert np.array_equal(result("tensor_scalar_cumulative", **{**CASE, "op0": nl.maximum}), np.cumsum(np.maximum(X, 2), 1))


@pytest.mark.parametrize("op", [nl.bitwise_or, nl.abs, nl.divide])
def test_c3_refuses_others(op):
    refused("tensor_scalar_cumulative", "c3", **{**CASE, "op0": op})


def test_c4_accepts_minimum():
    assert np.array_equal(result("tensor_scalar_cumulative", **{**CASE, "op1": nl.minimum}), np.minimum.accumulate(X * 2, 1))


def test_c4_refuses_logical_and():
    refused("tensor_scalar_cumulative", "c4", **{**CASE, "op1": nl.logical_and})


def test_c5_accepts_a_loaded_start():
    got = result("tensor_scalar_cumulative", **CASE, imm1=10.0, reduce_cmd=nisa.reduce_cmd.load_reduce)
    assert np.array_equal(got, 10 + np.cumsum(X * 2, 1))


def test_c5_refuses_load_without_a_value():
    refused("tensor_scalar_cumulative", "c5", **CASE, reduce_cmd=nisa.reduce_cmd.load_reduce)


def test_the_register_carries_on_and_is_shared_with_tensor_scalar_reduce():
    @inside
    def _():
        tile, run, total = nl.full((4, 3), 1.0, nl.float32), nl.ndarray((4, 3), nl.float32), nl.ndarray((4, 1), nl.float32)
        nisa.tensor_scalar_cumulative(run, tile, nl.multiply, nl.add, 1.0)
        nisa.tensor_scalar_cumulative(run, tile, nl.multiply, nl.add, 1.0, reduce_cmd=nisa.reduce_cmd.reduce)
        assert run.numpy()[0].tolist() == [4.0, 5.0, 6.0]
        nisa.tensor_scalar_reduce(tile, tile, nl.multiply, 1.0, nl.add, total, reduce_cmd=nisa.reduce_cmd.reduce)
        assert total.numpy()[0, 0] == 9.0


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(PYTHON)), st.sampled_from(sorted(PYTHON)), st.sampled_from(["float32", "bfloat16", "int16", "uint8"]),
    st.sampled_from(KINDS), st.sampled_from([1, 5, 128]), st.integers(1, 10), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_the_documented_loop(op0, op1, dtype, kind, partitions, elements, seed):
    w = window(kind, partitions, elements)
    values = cast(np.random.default_rng(seed).integers(0, 4, w.shape), dtype)
    got = call("tensor_scalar_cumulative", dst=out((partitions, elements)), src=sbuf(values, dtype).seen(w.view),
               op0=getattr(nl, op0), op1=getattr(nl, op1), imm0=1.5)["dst"]  # fmt: skip
    flat = w.look(values).astype(np.float32).reshape(partitions, -1)
    assert np.array_equal(got, loop(flat, op0, 1.5, op1))
