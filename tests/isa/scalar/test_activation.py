"""activation: rules by label, meaning against Python's math, registers, the compiled core within a few float32 steps."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from functions import FUNCTIONS, POSITIVE, RANGES, apply, rounded, steps_apart
from gathered import columns, through
from harness import call, cast, inside, native_equals_meaning, out, psum, refused, result, sbuf, without_native
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError, MemoryFault
from opentrn.isa.activations import activation_cost
from opentrn.isa.all import REGISTRY
from opentrn.isa.spec import Use
from opentrn.machine.chip import load_chip
from opentrn.numerics.activations import ACTIVATIONS

RNG = np.random.default_rng(5)
X = RNG.uniform(-3, 3, (16, 24)).astype(np.float32)
B = RNG.uniform(-1, 1, (16, 1)).astype(np.float32)
CASE = {"dst": out((16, 24)), "op": nl.exp, "data": sbuf(X)}
CMD = nisa.reduce_cmd


def op(name):
    return getattr(nl, name)


# ------------------------------------------------------------------------------------------------------------- rules
def test_c1_accepts_other_ranks():
    got = result("activation", **CASE | {"dst": out((16, 2, 12))})
    assert steps_apart(got.reshape(16, 24), apply("exp", X)) <= 4


def test_c1_refuses_other_sizes():
    refused("activation", "c1", **CASE | {"dst": out((16, 23))})
    refused("activation", "c1", **CASE | {"dst": out((15, 24))})


def test_c2_accepts_a_number_and_a_column():
    assert np.array_equal(result("activation", **CASE | {"op": nl.copy}, scale=2), X * 2)
    assert np.array_equal(result("activation", **CASE | {"op": nl.copy}, scale=psum(B)), X * B)


def test_c2_refuses_a_row():
    refused("activation", "c2", **CASE, scale=sbuf(X))
    refused("activation", "c2", **CASE, scale=sbuf(B[:8]))


def test_c3_accepts_none_a_number_and_any_column_but_tfloat32():
    for bias in (None, 1.5, np.float32(1.5), sbuf(B, "bfloat16"), psum(B), sbuf(B * 50, "int8")):
        call("activation", **CASE, bias=bias)


def test_c3_refuses_other_shapes():
    refused("activation", "c3", **CASE, bias=sbuf(X))
    refused("activation", "bias.dtype", **CASE, bias=sbuf(B, "tfloat32"))


def test_c4_accepts_a_column_on_trn1():
    call("activation", target="trn1", **CASE, bias=sbuf(B))


def test_c4_refuses_a_number_on_trn1():
    refused("activation", "c4", target="trn1", **CASE, bias=1.0)


def test_c5_accepts_add():
    call("activation", **CASE, reduce_op=nl.add)


def test_c5_refuses_maximum():
    refused("activation", "c5", **CASE, reduce_op=nl.maximum, reduce_cmd=CMD.reset_reduce)


def test_c6_accepts_a_column_of_any_rank():
    sums = out((16, 3, 1)).seen(lambda t: t[:, 1, :])
    got = result("activation", "reduce_res", **CASE | {"op": nl.copy}, reduce_op=nl.add, reduce_cmd=CMD.reset_reduce,
                 reduce_res=sums)  # fmt: skip
    np.testing.assert_allclose(got[:, 1, 0], X.astype(np.float64).sum(1), rtol=1e-5, atol=1e-5)


def test_c6_refuses_a_row():
    refused("activation", "c6", **CASE, reduce_op=nl.add, reduce_cmd=CMD.reset_reduce, reduce_res=out((16, 2)))


def test_c7_accepts_the_four_commands():
    for command in (CMD.idle, CMD.reset, CMD.reset_reduce):
        call("activation", **CASE, reduce_op=nl.add, reduce_cmd=command)


def test_c7_refuses_load_reduce():
    refused("activation", "c7", **CASE, reduce_op=nl.add, reduce_cmd=CMD.load_reduce)


def test_c8_accepts_reset_without_an_operator():
    got = result("activation", "reduce_res", **CASE, reduce_cmd=CMD.reset, reduce_res=out((16, 1)))
    assert np.array_equal(got, np.zeros((16, 1), np.float32))


def test_c8_refuses_reducing_without_an_operator():
    refused("activation", "c8", **CASE, reduce_cmd=CMD.reset_reduce)


INDEX = RNG.permuted(np.tile(np.arange(24), (16, 1)), axis=1)[:, :1]  # 16 offsets, all different within the group


def test_c9_accepts_a_gather_and_a_scatter_on_trn3():
    index = np.argsort(RNG.random(24))[:16].reshape(16, 1)
    seen = columns(index, 16, 0)
    got = result("activation", target="trn3", dst=out((16, 16)), op=nl.copy, data=sbuf(X).seen(through(index)))
    assert np.array_equal(got, X[:, seen])
    start = sbuf(np.full((16, 24), 7, np.float32)).seen(through(index))
    got = result("activation", target="trn3", dst=start, op=nl.copy, data=sbuf(X[:, :16]))
    want = np.full((16, 24), 7, np.float32)
    want[:, seen] = X[:, :16]
    assert np.array_equal(got, want)


def test_c9_refuses_a_scatter_into_psum_and_indices_off_their_place():
    into = out((16, 24), region=nl.psum).seen(through(INDEX))
    refused("activation", "c9", target="trn3", dst=into, op=nl.copy, data=sbuf(X[:, :16]))
    late = sbuf(X).seen(through(INDEX[:, :1], 9, address=(16, 0)))
    refused("activation", "c9", target="trn3", dst=out((16, 9)), op=nl.copy, data=late)
    refused("activation", "data.indirect", dst=out((16, 16)), op=nl.copy, data=sbuf(X).seen(through(INDEX)))


# ----------------------------------------------------------------------------------------------------------- meaning
def test_meaning_knows_every_function_of_the_table():
    assert set(FUNCTIONS) == set(ACTIVATIONS)
    assert {n: a.valid for n, a in ACTIVATIONS.items() if np.isfinite(a.valid).all()} == RANGES


DTYPES = ["float32", "bfloat16", "float16", "float8_e5m2", "int32", "uint8"]


@settings(deadline=None, max_examples=120)
@given(
    st.sampled_from(sorted(FUNCTIONS)), st.sampled_from(DTYPES), st.sampled_from(["float32", "bfloat16", "float16", "int8"]),
    st.sampled_from(KINDS), st.sampled_from([1, 3, 128]), st.sampled_from([1, 2, 7]),
    st.sampled_from(["none", "number", "column"]), st.sampled_from(["number", "column"]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning(name, source, target, kind, partitions, elements, bias, scale, seed):
    """Oracle: scale and bias in float64 with a rounding after each, the function by Python's math, one rounding to dst."""
    rng, shape = np.random.default_rng(seed), window(kind, partitions, elements)
    low = 1 if name in POSITIVE else -3
    data = sbuf(rng.uniform(low, 3, shape.shape), source)
    vector = np.abs(rng.uniform(0.2, 1, (2, partitions, 1))).astype(np.float32)
    given_bias = {"none": None, "number": 0.375, "column": sbuf(vector[0])}[bias]
    given_scale = {"number": 0.6, "column": sbuf(vector[1])}[scale]
    dst = window(kind, partitions, elements)
    with without_native():
        got = result("activation", dst=out(dst.shape, target).seen(dst.view), op=op(name), data=data.seen(shape.view),
                     bias=given_bias, scale=given_scale)  # fmt: skip
    x = np.asarray(shape.look(data.data)).reshape(partitions, -1).astype(np.float64)
    by = vector[1].astype(np.float64) if scale == "column" else np.float64(np.float32(0.6))
    plus = {"none": 0.0, "number": 0.375, "column": vector[0].astype(np.float64)}[bias]
    affine = ((x * by).astype(np.float32).astype(np.float64) + plus).astype(np.float32)
    want = rounded(apply(name, affine), target)
    assert steps_apart(np.ascontiguousarray(dst.look(got)).reshape(partitions, -1), want) <= 1


def test_meaning_of_nan_and_infinity_without_warnings():
    x = np.array([[np.nan, np.inf, -np.inf, 3e38]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = result("activation", dst=out((1, 4)), op=nl.copy, data=sbuf(x), scale=10.0, bias=1.0)
    assert np.array_equal(got, np.array([[np.nan, np.inf, -np.inf, np.inf]], np.float32), equal_nan=True)


def test_sine_has_no_range_reduction():
    """nki.api.shared.rst: sin(9.0) gives about 27.65."""
    x = np.array([[9.0, -9.0, 3.0, 4.0]], np.float32)
    got = result("activation", dst=out((1, 4)), op=nl.sin, data=sbuf(x))[0]
    assert abs(got[0] - 27.65) < 0.01 and abs(got[1] + 27.65) < 0.01
    assert abs(got[2] - math.sin(3.0)) < 1e-6 and abs(got[3] - math.sin(4.0)) > 0.001


def test_the_public_examples():
    """test_nki_isa_activation.py of the SDK: exp, and square(b * 2 + c) into bfloat16."""
    rng = np.random.default_rng(0)
    a, b, c = (rng.random(s, np.float32) for s in ((128, 1024), (128, 512), (128, 1)))
    assert np.allclose(result("activation", dst=out((128, 1024)), op=nl.exp, data=sbuf(a)), np.exp(a))
    got = result("activation", dst=out((128, 512), "bfloat16"), op=nl.square, data=sbuf(b), bias=sbuf(c), scale=2.0)
    assert np.array_equal(got, cast(np.square(b * 2 + c), "bfloat16"))


def test_dst_may_be_data_and_may_be_thrown_away():
    """In place; and into one column that every element hits (nki-library rmsnorm: ap with step 0)."""
    thrown = out((16, 1)).seen(lambda t: t.ap(pattern=[[1, 16], [0, 24]]))
    got = result("activation", "reduce_res", dst=thrown, op=nl.square, data=sbuf(X), reduce_op=nl.add,
                 reduce_cmd=CMD.reset_reduce, reduce_res=out((16, 1)))  # fmt: skip
    np.testing.assert_allclose(got[:, 0], (X.astype(np.float64) ** 2).sum(1), rtol=1e-6)

    @inside
    def _():
        x = nl.ndarray((16, 24), dtype=nl.float32)
        inside.core().fill(x, X)
        nisa.activation(x, nl.square, x)
        assert np.array_equal(x.numpy(), X * X)


def test_unwritten_data_raises():
    with pytest.raises(MemoryFault):
        call("activation", **CASE | {"data": out((16, 24))})


# --------------------------------------------------------------------------------------------------------- registers
def tiles(*arrays):
    made = []
    for array in arrays:
        made.append(nl.ndarray(array.shape, dtype=nl.float32))
        inside.core().fill(made[-1], array)
    return made


def test_registers_chain_over_instructions():
    y, z = (RNG.integers(-8, 8, (16, n)).astype(np.float32) for n in (5, 9))

    @inside
    def _():
        a, b = tiles(y, z)
        total, again = (nl.ndarray((16, 1), dtype=nl.float32) for _ in range(2))
        nisa.activation(a, nl.square, a, reduce_op=nl.add, reduce_cmd=CMD.reset_reduce)
        nisa.activation(nl.ndarray((16, 9), dtype=nl.float32), nl.exp, b)  # idle: leaves the registers alone
        nisa.activation(b, nl.copy, b, reduce_op=nl.add, reduce_cmd=CMD.reduce, reduce_res=total)
        nisa.activation(b, nl.copy, b, reduce_res=again)
        want = (y**2).sum(1, keepdims=True) + z.sum(1, keepdims=True)
        assert np.array_equal(total.numpy(), want) and np.array_equal(again.numpy(), want)
        nisa.activation(b, nl.copy, b, reduce_cmd=CMD.reset)
        nisa.activation(b, nl.copy, b, reduce_op=nl.add, reduce_cmd=CMD.reduce, reduce_res=total)
        assert np.array_equal(total.numpy(), z.sum(1, keepdims=True))


def test_registers_are_one_for_each_partition():
    y = RNG.integers(-8, 8, (64, 5)).astype(np.float32)

    @inside
    def _():
        (a,) = tiles(y)
        total = nl.ndarray((64, 1), dtype=nl.float32)
        nisa.activation(a, nl.copy, a, reduce_op=nl.add, reduce_cmd=CMD.reset_reduce)
        low, high = a[0:32, :], a[32:64, :]
        nisa.activation(high, nl.copy, high, reduce_op=nl.add, reduce_cmd=CMD.reduce)
        nisa.activation(low, nl.copy, low, reduce_cmd=CMD.reset)
        nisa.activation(a, nl.copy, a, reduce_res=total)
        want = y.sum(1, keepdims=True) * 2
        want[:32] = 0
        assert np.array_equal(total.numpy(), want)


def test_registers_that_were_never_set_raise():
    with pytest.raises(KernelError, match="registers"):
        call("activation", **CASE, reduce_op=nl.add, reduce_cmd=CMD.reduce)
    with pytest.raises(KernelError, match="registers"):
        call("activation", **CASE, reduce_res=out((16, 1)))


def test_the_sum_is_of_unrounded_results():
    got = call("activation", dst=out((1, 3), "int8"), op=nl.copy, data=sbuf(np.array([[0.25, 0.25, 0.25]], np.float32)),
               reduce_op=nl.add, reduce_cmd=CMD.reset_reduce, reduce_res=out((1, 1)))  # fmt: skip
    assert got["dst"].tolist() == [[0, 0, 0]] and got["reduce_res"].tolist() == [[0.75]]


def test_reduce_res_that_aliases_dst_keeps_the_sum():
    """NKI 0.6.0 release notes, simulator fixes."""

    @inside
    def _():
        x, dst = *tiles(X), nl.ndarray((16, 24), dtype=nl.float32)
        nisa.activation(dst, nl.copy, x, reduce_op=nl.add, reduce_cmd=CMD.reset_reduce, reduce_res=dst[:, 0:1])
        np.testing.assert_allclose(dst.numpy()[:, 0], X.astype(np.float64).sum(1), rtol=1e-5, atol=1e-5)
        assert np.array_equal(dst.numpy()[:, 1:], X[:, 1:])


# ------------------------------------------------------------------------------------------------------------ native
@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(FUNCTIONS)), st.sampled_from(["float32", "bfloat16", "uint8"]), st.sampled_from(KINDS),
    st.sampled_from([1, 5, 128]), st.sampled_from([1, 2, 33]), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_native_within_8_steps_of_float32(name, source, kind, partitions, elements, bias, scale, seed):
    """The core's polynomials differ from the double-precision meaning by a few float32 steps before the rounding to dst,

    hence a float32 dst, and arguments away from the zeros of a function, where a step is meaningless."""
    rng, shape = np.random.default_rng(seed), window(kind, partitions, elements)
    data = sbuf(rng.uniform(1 if name in POSITIVE else -2.5, 2.5, shape.shape), source).seen(shape.view)
    columns = np.abs(rng.uniform(0.2, 0.9, (2, partitions, 1))).astype(np.float32)
    native_equals_meaning(
        "activation", ulps=8, dst=sbuf(np.zeros(shape.shape, np.float32)).seen(shape.view), op=op(name), data=data,
        bias=sbuf(columns[0], "bfloat16") if bias else None, scale=sbuf(columns[1]) if scale else 0.5,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["copy", "square", "relu", "sqrt", "reciprocal", "sign", "abs"])
@pytest.mark.parametrize("target", ["float32", "bfloat16", "float8_e5m2", "int16"])
def test_native_is_exact_where_float32_is(name, target):
    values = np.concatenate([X.ravel(), [0.0, -0.0, np.inf, -np.inf, 1e-42, 3e38]]).astype(np.float32).reshape(6, -1)
    native_equals_meaning("activation", dst=out(values.shape, target), op=op(name), data=sbuf(values), scale=2.0)


def test_the_cost_counts_the_reading_of_the_registers():
    class Plain:
        elements, buffer, dtype, dynamic = 512, None, "float32", None

    def cost(chip, result):
        values = dict.fromkeys(("dst", "bias", "scale")) | {
            "op": ACTIVATIONS["exp"],
            "data": Plain,
            "reduce_res": result,
        }
        return activation_cost(Use(REGISTRY["activation"], values, load_chip(chip)))

    for chip, extra in (("trn2", 185.0), ("trn1", 64 / 1.4)):
        assert math.isclose(cost(chip, Plain).busy_ns - cost(chip, None).busy_ns, extra, rel_tol=0.01)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(("scale", "bias"), [(1.0, None), (-0.5, 0.25), (0.0, -0.0)])
def test_large_tiles_give_what_small_ones_give(dtype, scale, bias):
    # large 16-bit tiles look results up in a table; single rows are too small for that
    data = cast(np.random.default_rng(8).standard_normal((128, 256)).astype(np.float32) * 4, dtype)
    for name in ("gelu", "exp", "tanh"):
        options = {"op": op(name), "scale": scale} | ({} if bias is None else {"bias": bias})
        with without_native():
            whole = result("activation", dst=out((128, 256)), data=sbuf(data, dtype), **options)
            rows = [result("activation", dst=out((1, 256)), data=sbuf(r, dtype), **options) for r in data[:64, None]]
        assert np.array_equal(whole[:64].view(np.uint32), np.concatenate(rows).view(np.uint32))
