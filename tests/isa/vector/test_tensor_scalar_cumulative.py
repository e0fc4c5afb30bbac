"""tensor_scalar_cumulative: rules by label, meaning against the documented loop."""

from __future__ import annotations

import numpy as np
import pytest
from beside import placed
from chains import chain
from harness import call, cast, inside, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from scalars import BINARY, rounded, same, sample, seen
from windows import KINDS, window

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError

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
    assert np.array_equal(
        result("tensor_scalar_cumulative", **{**CASE, "op0": nl.maximum}), np.cumsum(np.maximum(X, 2), 1)
    )


@pytest.mark.parametrize("op", [nl.bitwise_or, nl.abs, nl.divide])
def test_c3_refuses_others(op):
    refused("tensor_scalar_cumulative", "c3", **{**CASE, "op0": op})


def test_c4_accepts_minimum():
    assert np.array_equal(
        result("tensor_scalar_cumulative", **{**CASE, "op1": nl.minimum}), np.minimum.accumulate(X * 2, 1)
    )


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
        tile, run, total = (
            nl.full((4, 3), 1.0, nl.float32),
            nl.ndarray((4, 3), nl.float32),
            nl.ndarray((4, 1), nl.float32),
        )
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


CMD = nisa.reduce_cmd
ONES = np.ones((128, 64), np.float32)
NAME = "tensor_scalar_cumulative"


@pytest.mark.parametrize("key", ["imm0", "imm1"])
def test_immediate_columns_are_float32(key):
    """ "Must be FP32 datatype" for both."""
    case = {**CASE, "imm1": 1.0, "reduce_cmd": CMD.load_reduce}
    refused(NAME, f"{key}.dtype", **{**case, key: sbuf(np.ones((4, 1)), "bfloat16")})
    call(NAME, **{**case, key: sbuf(np.ones((4, 1)), "float32")})


def test_c2_refuses_a_row_to_load():
    refused(NAME, "c2", **CASE, imm1=sbuf(X), reduce_cmd=CMD.load_reduce)


@pytest.mark.parametrize("dtype", ["int32", "uint32"])
def test_32_bit_integers_are_refused(dtype):
    refused(NAME, "src.dtype", **{**CASE, "src": sbuf(X.astype(dtype))})
    refused(NAME, "dst.dtype", **{**CASE, "dst": out((4, 9), dtype)})


@pytest.mark.parametrize("command", [CMD.idle, CMD.reset])
def test_idle_and_reset_are_not_offered(command):
    refused(NAME, "reduce_cmd.value", **CASE, reduce_cmd=command)


@pytest.mark.parametrize("start", [0, 64])
def test_c6_accepts_indices_beside_their_data(start):
    values = RNG.integers(-9, 9, (16, 16)).astype(np.float32)
    case = {"src": placed(sbuf(values), start, start), "op0": nl.add, "op1": nl.add, "imm0": 0.0}
    assert np.array_equal(result(NAME, target="trn3", dst=out((16, 16)), **case), np.cumsum(values, 1))


def test_c6_refuses_indices_elsewhere():
    values, ops = sbuf(np.ones((16, 16), np.float32)), {"op0": nl.add, "op1": nl.add, "imm0": 0.0}
    refused(NAME, "c6", target="trn3", dst=values, src=placed(values, 32, 64), **ops)
    refused(NAME, "c6", target="trn3", dst=placed(values, 0, 16), src=values, **ops)
    refused(NAME, "imm0.indirect", target="trn3", dst=values, src=values, **{**ops, "imm0": placed(values, 0, 0)})


@pytest.mark.parametrize(("op1", "value"), [("add", 0), ("multiply", 0), ("minimum", 0), ("add", 2.0)])
def test_the_public_examples_of_load_reduce(op1, value):
    """nki/test/test_nki_isa_tensor_scalar_cumulative.py: (1 + imm0) accumulated from imm1, both columns or numbers."""
    imm0, imm1 = np.ones((128, 1), np.float32), np.full((128, 1), value, np.float32)
    case = {
        "dst": out((128, 64)),
        "src": sbuf(ONES),
        "op0": nl.add,
        "op1": getattr(nl, op1),
        "reduce_cmd": CMD.load_reduce,
    }
    want = loop(ONES[:1], "add", 1.0, op1, value)[0]
    assert (result(NAME, **case, imm0=sbuf(imm0), imm1=sbuf(imm1)) == want).all()
    assert (result(NAME, **case, imm0=np.float32(1), imm1=np.float32(value)) == want).all()


@pytest.mark.parametrize(("command", "imm1", "offset"), [(CMD.reset_reduce, None, 64), (CMD.load_reduce, 1.0, 65)])
def test_the_public_examples_of_a_chain(command, imm1, offset):
    """The second call carries on; imm1 may be given again and is not loaded then."""
    case = {"dst": out((128, 64)), "src": sbuf(ONES), "op0": nl.add, "op1": nl.add, "imm0": np.float32(0), "imm1": imm1}
    done = chain((NAME, {**case, "reduce_cmd": command}), (NAME, {**case, "reduce_cmd": CMD.reduce}))
    assert (done[1]["dst"] == np.arange(1, 65) + offset).all()


def test_registers_that_were_never_set_raise():
    with pytest.raises(KernelError, match="registers"):
        call(NAME, **CASE, reduce_cmd=CMD.reduce)


def test_the_register_is_not_rounded_to_dst():
    quarters = sbuf(np.full((1, 8), 0.25, np.float32))
    got = result(NAME, dst=out((1, 8), "int8"), src=quarters, op0=nl.add, op1=nl.add, imm0=0.0)
    assert got.tolist() == [[0, 0, 1, 1, 1, 2, 2, 2]]


def test_subtract_puts_the_register_on_the_right():
    """reg = op1(op0(in, imm0), reg): from 0, alternating sums."""
    got = result(NAME, dst=out((1, 4)), src=sbuf(np.float32([[1, 2, 3, 4]])), op0=nl.add, op1=nl.subtract, imm0=0.0)
    assert got.tolist() == [[1, 1, 2, 2]]


CARRIED = ("float32", "bfloat16", "float16", "float8_e4m3", "float8_e5m2", "uint8", "uint16", "int8", "int16")


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(PYTHON)), st.sampled_from(sorted(PYTHON)), st.sampled_from(CARRIED), st.sampled_from(CARRIED),
    st.sampled_from(KINDS), st.integers(1, 9), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_with_special_values_columns_and_loaded_registers(op0, op1, source, target, kind, count, seed):
    w = window(kind, 3, count)
    data, (imm0, imm1) = sample(source, w.shape, seed), (sample("float32", (3, 1), seed + n) for n in (1, 2))
    got = result(NAME, dst=sbuf(np.zeros(w.shape), target).seen(w.view), src=sbuf(data, source).seen(w.view),
                 op0=getattr(nl, op0), op1=getattr(nl, op1), imm0=sbuf(imm0), imm1=sbuf(imm1), reduce_cmd=CMD.load_reduce)  # fmt: skip
    rows = []
    for values, scale, register in zip(seen(w.look(data)), imm0[:, 0].tolist(), imm1[:, 0].tolist(), strict=True):
        rows.append([register := BINARY[op1](BINARY[op0](v, scale), register) for v in values])
    same(w.look(got), rounded(rows, target))
