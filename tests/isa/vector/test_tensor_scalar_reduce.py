"""tensor_scalar_reduce: rules by label, meaning against float64, the chain of accumulator registers."""

from __future__ import annotations

import numpy as np
import pytest
from harness import call, cast, inside, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError

RNG = np.random.default_rng(5)
X = RNG.standard_normal((4, 9)).astype(np.float32)
CASE = {"dst": out((4, 9)), "data": sbuf(X), "op0": nl.multiply, "operand0": 2.0, "reduce_op": nl.add, "reduce_res": out((4, 1))}


def test_c1_accepts_other_ranks():
    assert np.array_equal(result("tensor_scalar_reduce", **{**CASE, "dst": out((4, 3, 3))}).reshape(4, 9), X * 2)


def test_c1_refuses_other_sizes():
    refused("tensor_scalar_reduce", "c1", **{**CASE, "dst": out((4, 8))})


def test_c2_accepts_a_column():
    scale = np.arange(4, dtype=np.float32)[:, None]
    assert np.array_equal(result("tensor_scalar_reduce", **{**CASE, "operand0": sbuf(scale)}), X * scale)


def test_c2_refuses_a_wide_result():
    refused("tensor_scalar_reduce", "c2", **{**CASE, "reduce_res": out((4, 2))})


def test_c3_accepts_a_unary_operator():
    got = call("tensor_scalar_reduce", **{**CASE, "op0": nl.abs, "operand0": None})
    assert np.array_equal(got["dst"], np.abs(X))


def test_c3_refuses_bitvec_and_missing_operands():
    refused("tensor_scalar_reduce", "c3", **{**CASE, "op0": nl.bitwise_and})
    refused("tensor_scalar_reduce", "c3", **{**CASE, "operand0": None})
    refused("tensor_scalar_reduce", "c3", **{**CASE, "op0": nl.abs})


@pytest.mark.parametrize("op", [nl.add, nl.multiply, nl.max, nl.min])
def test_c4_accepts_four_reductions(op):
    got = call("tensor_scalar_reduce", **{**CASE, "reduce_op": op})["reduce_res"][:, 0]
    name = {"max": "max", "min": "min", "add": "sum", "multiply": "prod"}[getattr(op, "nki_op", op.__name__)[:8].removesuffix("imum")]
    assert np.allclose(got, getattr(np, name)(X.astype(np.float64) * 2, axis=1), rtol=1e-5)


def test_c4_refuses_subtract():
    refused("tensor_scalar_reduce", "c4", **{**CASE, "reduce_op": nl.subtract})


def test_c5_accepts_reverse0_false():
    call("tensor_scalar_reduce", **CASE, reverse0=False)


def test_c5_refuses_reverse0():
    refused("tensor_scalar_reduce", "c5", **CASE, reverse0=True)


def test_c6_accepts_a_loaded_start():
    got = call("tensor_scalar_reduce", **CASE, reduce_cmd=nisa.reduce_cmd.load_reduce, reduce_init=100.0)["reduce_res"]
    assert np.allclose(got[:, 0], 100 + 2 * X.sum(1), rtol=1e-5)


def test_c6_refuses_a_start_without_load():
    refused("tensor_scalar_reduce", "c6", **CASE, reduce_init=1.0)
    refused("tensor_scalar_reduce", "c6", **CASE, reduce_cmd=nisa.reduce_cmd.load_reduce)


def test_a_chain_keeps_the_sum_in_the_registers():
    # NKI 0.6.0 release notes: reduce_res=None on all but the last instruction of a chain
    @inside
    def _():
        tile, total = nl.full((4, 8), 1.0, nl.float32), nl.ndarray((4, 1), nl.float32)
        add, cmd = nl.add, nisa.reduce_cmd
        nisa.tensor_scalar_reduce(tile, tile, nl.multiply, 1.0, add, reduce_cmd=cmd.reset_reduce)
        nisa.tensor_scalar_reduce(tile, tile, nl.multiply, 2.0, add, reduce_cmd=cmd.reduce)
        nisa.tensor_scalar_reduce(tile, tile, nl.multiply, 1.0, add, reduce_res=total, reduce_cmd=cmd.reduce,
                                  reduce_res_negate=True)  # fmt: skip
        assert total.numpy()[:, 0].tolist() == [-(8 + 16 + 16)] * 4
        nisa.tensor_scalar_reduce(tile, tile, nl.multiply, 0.0, add, reduce_res=total, reduce_cmd=cmd.reduce)
        assert total.numpy()[:, 0].tolist() == [40.0] * 4  # negating does not change the registers


def test_a_chain_that_was_never_reset_raises():
    with pytest.raises(KernelError, match="before they were reset"):
        call("tensor_scalar_reduce", **CASE, reduce_cmd=nisa.reduce_cmd.reduce)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["add", "subtract", "multiply", "maximum", "minimum", "greater"]),
    st.sampled_from(["float32", "bfloat16", "int32", "uint8"]), st.sampled_from(KINDS), st.sampled_from([1, 3, 128]),
    st.integers(1, 40), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_the_operator_and_its_sum(op, dtype, kind, partitions, elements, seed):
    w = window(kind, partitions, elements)
    values = cast(np.random.default_rng(seed).integers(0, 50, w.shape), dtype)
    got = call("tensor_scalar_reduce", dst=out((partitions, elements)), data=sbuf(values, dtype).seen(w.view),
               op0=getattr(nl, op), operand0=3.0, reduce_op=nl.add, reduce_res=out((partitions, 1)))  # fmt: skip
    exact = getattr(np, op)(w.look(values).astype(np.float64).reshape(partitions, -1), 3.0)
    assert np.array_equal(got["dst"], exact.astype(np.float32))
    assert np.allclose(got["reduce_res"][:, 0], exact.sum(1))
