"""tensor_scalar_reduce: rules by label, meaning against float64, the chain of accumulator registers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from beside import placed
from chains import chain
from harness import Operand, call, cast, inside, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from prices import price
from scalars import BINARY, DTYPES, rounded, same, sample, seen
from totals import START, totals
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError
from opentrn.machine.chip import load_chip

RNG = np.random.default_rng(5)
X = RNG.standard_normal((4, 9)).astype(np.float32)
CASE = {
    "dst": out((4, 9)),
    "data": sbuf(X),
    "op0": nl.multiply,
    "operand0": 2.0,
    "reduce_op": nl.add,
    "reduce_res": out((4, 1)),
}


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
    name = {"max": "max", "min": "min", "add": "sum", "multiply": "prod"}[
        getattr(op, "nki_op", op.__name__)[:8].removesuffix("imum")
    ]
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


CMD = nisa.reduce_cmd
ADD = {"op0": nl.multiply, "operand0": 1.0, "reduce_op": nl.add}


def ones(value=1.0, partitions=4):
    return sbuf(np.full((partitions, 9), value, np.float32))


def test_c2_accepts_columns_of_any_rank():
    wide = sbuf(np.zeros((4, 5), np.float32)).seen(lambda t: t[:, 2])
    got = call("tensor_scalar_reduce", **{**CASE, "data": psum(X), "reduce_op": nl.max, "reduce_res": wide})
    assert np.array_equal(got["reduce_res"][:, 2], (X * 2).max(1))


@pytest.mark.parametrize("key", ["operand0", "reduce_init"])
def test_c2_refuses_rows_as_operands(key):
    refused("tensor_scalar_reduce", "c2", **{**CASE, key: sbuf(X), "reduce_cmd": CMD.load_reduce})


def test_reduce_init_is_float32():
    case = {**CASE, "reduce_cmd": CMD.load_reduce}
    refused("tensor_scalar_reduce", "reduce_init.dtype", **case, reduce_init=sbuf(np.ones((4, 1)), "bfloat16"))
    call("tensor_scalar_reduce", **case, reduce_init=sbuf(np.ones((4, 1)), "float32"))


@pytest.mark.parametrize("name", ["square", "relu", "abs_max"])
def test_c3_accepts_these_on_trn3_only(name):
    """Release notes, NKI 0.4.0: new operators of tensor_scalar and tensor_scalar_reduce on trn3."""
    case = {**CASE, "op0": getattr(nl, name), "operand0": 1.5 if name == "abs_max" else None}
    want = {"square": X * X, "relu": np.where(X > 0, X, 0), "abs_max": np.where(np.abs(X) > 1.5, X, 1.5)}[name]
    assert np.array_equal(result("tensor_scalar_reduce", target="trn3", **case), want.astype(np.float32))
    refused("tensor_scalar_reduce", "c3", **case)


@pytest.mark.parametrize("name", ["average", "divide", "mod", "left_shift"])
def test_c3_refuses_operators_outside_the_table(name):
    refused("tensor_scalar_reduce", "c3", **{**CASE, "op0": name})


@pytest.mark.parametrize("command", [CMD.idle, CMD.reset])
def test_idle_and_reset_are_not_offered(command):
    refused("tensor_scalar_reduce", "reduce_cmd.value", **CASE, reduce_cmd=command)


@pytest.mark.parametrize("start", [0, 64])
def test_c7_accepts_indices_beside_their_data(start):
    values = RNG.standard_normal((16, 16)).astype(np.float32)
    case = {"data": placed(sbuf(values), start, start), "op0": nl.multiply, "operand0": 2.0, "reduce_op": nl.max}
    got = call("tensor_scalar_reduce", target="trn3", dst=out((16, 16)), **case, reduce_res=out((16, 1)))
    assert np.array_equal(got["dst"], values * 2)
    assert np.array_equal(got["reduce_res"], (values * 2).max(1, keepdims=True))


def test_c7_refuses_indices_elsewhere():
    values = sbuf(np.ones((16, 16), np.float32))
    for key, other in (("data", "dst"), ("dst", "data")):
        plain = replace(values, address=(0, 0))
        refused("tensor_scalar_reduce", "c7", target="trn3", **{key: placed(values, 32, 64), other: plain}, **ADD)
    refused("tensor_scalar_reduce", "operand0.indirect", target="trn3", dst=values, data=values,
            **{**ADD, "operand0": placed(values, 0, 0)})  # fmt: skip


@pytest.mark.parametrize("op", ["add", "multiply", "maximum", "minimum"])
def test_registers_start_at_the_documented_identity(op):
    """A reset accumulator leaves the reduction as it is, also where every element lies on one side of zero."""
    for value in (-3.0, 3.0):
        got = call(
            "tensor_scalar_reduce", **{**CASE, "data": ones(value), "operand0": 1.0, "reduce_op": getattr(nl, op)}
        )
        want = {"add": 9 * value, "multiply": value**9}.get(op, value)
        assert got["reduce_res"].tolist() == [[want]] * 4


def test_the_registers_are_shared_by_the_vector_engine_s_instructions():
    """The note of each page: exponential, range_select, select_reduce, tensor_scalar_cumulative share them."""
    bounds = {"bound0": sbuf(np.zeros((4, 1), np.float32)), "bound1": sbuf(np.full((4, 1), 9, np.float32))}
    window = {"comp_op0": nl.greater_equal, "comp_op1": nl.less, **bounds}
    mask, base = sbuf(np.ones((4, 9), np.uint8)), {"dst": out((4, 9))}
    done = chain(
        ("tensor_scalar_reduce", {**base, "data": ones(5.0), **ADD, "reduce_op": nl.maximum}),
        ("range_select", {**base, "on_true_tile": ones(3.0), **window, "reduce_cmd": CMD.reduce, "reduce_res": out((4, 1))}),
        ("select_reduce", {**base, "predicate": mask, "on_true": ones(6.0), "on_false": 0.0, "reduce_cmd": CMD.reduce}),
        ("tensor_scalar_cumulative", {**base, "src": ones(), "op0": nl.multiply, "op1": nl.add, "imm0": 1.0,
                                      "reduce_cmd": CMD.reduce}),
        ("exponential", {**base, "src": ones(0.0), "reduce_cmd": CMD.reduce, "reduce_res": out((4, 1))}),
        target="trn3",
    )  # fmt: skip
    assert done[1]["reduce_res"].tolist() == [[5.0]] * 4
    assert done[3]["dst"].tolist() == [[6.0 + n for n in range(1, 10)]] * 4
    assert done[4]["reduce_res"].tolist() == [[15.0 + 9]] * 4


def test_the_scalar_engine_has_registers_of_its_own():
    with pytest.raises(KernelError, match="registers"):
        chain(
            ("activation", {"dst": out((4, 9)), "op": nl.copy, "data": ones(), "reduce_op": nl.add,
                            "reduce_cmd": CMD.reset_reduce}),
            ("tensor_scalar_reduce", {"dst": out((4, 9)), "data": ones(), **ADD, "reduce_cmd": CMD.reduce}),
        )  # fmt: skip


def test_there_is_a_register_for_each_partition():
    """A chain on partitions 32 to 35 neither changes nor needs the registers of partitions 0 to 3."""
    late = Operand(nl.sbuf, (36, 9), "float32", np.full((36, 9), 2, np.float32)).seen(lambda t: t[32:36])
    done = chain(
        ("tensor_scalar_reduce", {"dst": out((4, 9)), "data": ones(), **ADD}),
        ("tensor_scalar_reduce", {"dst": late, "data": late, **ADD}),
        ("tensor_scalar_reduce", {"dst": out((4, 9)), "data": ones(), **ADD, "reduce_cmd": CMD.reduce, "reduce_res": out((4, 1))}),
    )  # fmt: skip
    assert done[2]["reduce_res"].tolist() == [[18.0]] * 4
    with pytest.raises(KernelError, match="registers"):
        chain(
            ("tensor_scalar_reduce", {"dst": out((4, 9)), "data": ones(), **ADD}),
            ("tensor_scalar_reduce", {"dst": late, "data": late, **ADD, "reduce_cmd": CMD.reduce}),
        )


def test_load_reduce_replaces_what_the_registers_held():
    start = RNG.standard_normal((4, 1)).astype(np.float32)
    done = chain(
        ("tensor_scalar_reduce", {"dst": out((4, 9)), "data": ones(1e6), **ADD}),
        ("tensor_scalar_reduce", {"dst": out((4, 9)), "data": ones(0.0), **ADD, "reduce_cmd": CMD.load_reduce,
                                  "reduce_init": sbuf(start), "reduce_res": out((4, 1))}),
    )  # fmt: skip
    assert np.array_equal(done[1]["reduce_res"], start)


def test_reduce_res_may_alias_dst():
    """As activation (release notes, NKI 0.6.0): the reduction is written last."""

    def kernel(x):
        tile = nl.load(x)
        nisa.tensor_scalar_reduce(tile, tile, nl.multiply, 2.0, nl.maximum, reduce_res=tile[:, 0:1])
        result = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result, src=tile)
        return result

    want = X * 2
    want[:, 0] = want.max(1)
    assert np.array_equal(opentrn.run(kernel)(X).results, want)


def test_the_reduction_takes_results_before_they_are_rounded():
    got = call("tensor_scalar_reduce", dst=out((4, 9), "int8"), data=ones(0.25), **ADD, reduce_res=out((4, 1)))
    assert got["dst"].tolist() == [[0] * 9] * 4
    assert got["reduce_res"].tolist() == [[2.25]] * 4


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(BINARY)), st.sampled_from(["add", "multiply", "maximum", "minimum"]), st.sampled_from(DTYPES),
    st.tuples(st.sampled_from(DTYPES), st.sampled_from(DTYPES)), st.booleans(), st.booleans(), st.integers(1, 50),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_bit_exact_in_the_fixed_order(op, reduction, source, targets, column, negate, count, seed):
    data = sample(source, (3, count), seed)
    scale = sample("float32", (3, 1), seed + 1) if column else np.full((3, 1), 1.5, np.float32)
    got = call("tensor_scalar_reduce", dst=out((3, count), targets[0]), data=sbuf(data, source), op0=getattr(nl, op),
               operand0=sbuf(scale) if column else 1.5, reduce_op=getattr(nl, reduction), reduce_res=out((3, 1), targets[1]),
               reduce_res_negate=negate)  # fmt: skip
    rows = [[BINARY[op](v, s) for v in row] for row, s in zip(seen(data), scale[:, 0].tolist(), strict=True)]
    same(got["dst"], rounded(rows, targets[0]))
    reduced = [
        [BINARY[reduction](START[reduction], t) * (-1.0 if negate else 1.0)] for t in totals(reduction, rows)[:, 0]
    ]
    same(got["reduce_res"], rounded(reduced, targets[1]))


def test_the_reduction_costs_one_more_initiation_interval():
    """SDK 2.26, nisa.tensor_scalar_reduce: max(MIN_II, N) + MIN_II."""
    plain = price("tensor_scalar", dst=out((4, 9)), data=sbuf(X), op0=nl.multiply, operand0=2.0)
    chip = load_chip("trn2")
    interval = chip.cost.min_ii_cycles / chip.engines.vector.clock_hz * 1e9
    assert np.isclose(price("tensor_scalar_reduce", **CASE).busy_ns - plain.busy_ns, interval)
