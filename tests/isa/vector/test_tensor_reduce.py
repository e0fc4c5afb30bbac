"""tensor_reduce: rules by label, meaning against float64 and python loops, native core against the meaning."""

from __future__ import annotations

import operator
from functools import reduce

import numpy as np
import pytest
from beside import placed
from gathered import columns, through
from harness import cast, native_equals_meaning, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from prices import price, vector_ns
from scalars import DTYPES, INTEGERS, rounded, same, sample, seen
from totals import total, totals
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import MemoryFault

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
@given(
    st.sampled_from(sorted(OPS)), st.sampled_from(["float32", "bfloat16"]), st.sampled_from(KINDS), st.integers(1, 70)
)
def test_native_equals_meaning(op, dtype, kind, elements):
    w = window(kind, 5, elements)
    data = sbuf(RNG.standard_normal(w.shape), dtype).seen(w.view)
    rank = 2 if kind in ("whole", "late", "stepped") else 3
    native_equals_meaning(
        "tensor_reduce", dst=out((5, 1), dtype), op=getattr(nl, op), data=data, axis=list(range(1, rank))
    )


def test_c1_refuses_axis_1_of_three_dimensions():
    """Release notes, NKI 0.3.0: axis=1 no longer means the last free dimension of 3-D and 4-D tiles."""
    refused("tensor_reduce", "c1", **{**CASE, "dst": out((4, 5)), "axis": 1})


def test_an_axis_is_an_integer_or_several():
    refused("tensor_reduce", "axis.value", **{**CASE, "axis": "2"})
    refused("tensor_reduce", "axis.value", **{**CASE, "axis": 2.0})
    assert np.array_equal(result("tensor_reduce", **{**CASE, "axis": np.int64(2)}), result("tensor_reduce", **CASE))


@pytest.mark.parametrize("name", ["abs_max", "abs_min", "average"])
def test_c4_refuses_what_the_table_has_no_reduction_for(name):
    """nki.api.shared.rst, column "Legal Reduction op"."""
    refused("tensor_reduce", "c4", target="trn3", **{**CASE, "op": name})


@pytest.mark.parametrize("start", [0, 32, 96])
def test_c6_accepts_indices_beside_their_data(start):
    values = RNG.standard_normal((16, 16)).astype(np.float32)
    data = placed(sbuf(values), start, start)
    got = result("tensor_reduce", target="trn3", dst=out((16, 1)), op=nl.maximum, data=data, axis=1)
    assert np.array_equal(got, values.max(1, keepdims=True))


def test_c6_accepts_a_gather_that_the_compiler_places():
    values = RNG.standard_normal((16, 24)).astype(np.float32)
    index = np.argsort(RNG.random(24))[:16].reshape(16, 1)
    data = sbuf(values).seen(through(index))
    got = result("tensor_reduce", target="trn3", dst=out((16, 1)), op=nl.maximum, data=data, axis=1)
    assert np.array_equal(got, values[:, columns(index, 16, 0)].max(1, keepdims=True))


def test_c6_refuses_indices_elsewhere():
    case = {"dst": out((16, 1)), "op": nl.maximum, "axis": 1}
    values = sbuf(np.ones((16, 16), np.float32))
    refused("tensor_reduce", "c6", target="trn3", **case, data=placed(values, 32, 64))
    refused("tensor_reduce", "c6", target="trn3", **case, data=placed(values, 0, 16))
    refused("tensor_reduce", "data.indirect", **case, data=placed(values, 0, 0))


def test_the_public_example():
    """nki/test/test_nki_isa_reduce.py: a sum over 512 elements."""
    a = np.random.default_rng(0).random((128, 512), np.float32) * 100
    got = result("tensor_reduce", dst=out((128, 1)), op=np.add, data=sbuf(a), axis=[1])
    assert np.allclose(got, a.astype(np.float64).sum(1, keepdims=True))


def test_dst_may_alias_data():
    def kernel(x):
        tile = nl.load(x)
        nisa.tensor_reduce(dst=tile[:, 3:4], op=nl.maximum, data=tile, axis=1)
        result = nl.ndarray(tile.shape, dtype=tile.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result, src=tile)
        return result

    values = RNG.standard_normal((4, 9)).astype(np.float32)
    want = values.copy()
    want[:, 3] = [max(row) for row in values]
    assert np.array_equal(opentrn.run(kernel)(values).results, want)


def test_unwritten_data_raise():
    with pytest.raises(MemoryFault):
        result("tensor_reduce", **{**CASE, "data": out((4, 3, 5))})


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from([*sorted(OPS), "logical_and", "logical_or", "logical_xor"]), st.sampled_from(DTYPES), st.sampled_from(DTYPES),
    st.sampled_from([(1,), (2,), (5,), (33,), (3, 7), (2, 1, 19)]), st.integers(1, 3), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_bit_exact_in_the_fixed_order(op, source, target, inner, groups, negate, seed):
    data = sample(source, (3, groups, *inner), seed)
    axes = tuple(range(2, 2 + len(inner)))
    got = result("tensor_reduce", dst=out((3, groups), target), op=getattr(nl, op), data=sbuf(data, source), axis=axes,
                 negate=negate)  # fmt: skip
    sign = -1.0 if negate else 1.0
    want = [[total(op, list(g)) * sign for g in row] for row in seen(data).reshape(3, groups, -1)]
    same(got, rounded(want, target))


@pytest.mark.parametrize("op", ["bitwise_and", "bitwise_or", "bitwise_xor"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_meaning_of_bitvec_operators(op, dtype):
    python = {"bitwise_and": operator.and_, "bitwise_or": operator.or_, "bitwise_xor": operator.xor}[op]
    data = sample(dtype, (5, 24), 3)
    got = result("tensor_reduce", dst=out((5, 1), dtype), op=getattr(nl, op), data=sbuf(data), axis=1)
    assert got.tolist() == [[reduce(python, row)] for row in data.tolist()]


def test_meaning_of_subtract_is_the_first_less_the_others():
    data = RNG.integers(-50, 50, (4, 40)).astype(np.float32)
    got = result("tensor_reduce", dst=out((4, 1)), op=nl.subtract, data=sbuf(data), axis=1)
    assert got.tolist() == [[row[0] - sum(row[1:])] for row in data.tolist()]


def test_meaning_of_a_broadcast_and_of_late_partitions():
    column, late = (RNG.standard_normal(shape).astype(np.float32) for shape in ((4, 1), (36, 20)))
    got = result(
        "tensor_reduce", dst=out((4, 1)), op=nl.add, data=psum(column).seen(lambda t: t.broadcast(1, 37)), axis=1
    )
    same(got, totals("add", [[x] * 37 for x in column[:, 0].tolist()]))
    got = result("tensor_reduce", dst=out((4, 1)), op=nl.add, data=sbuf(late).seen(lambda t: t[32:36]), axis=1)
    same(got, totals("add", late[32:36].tolist()))


def test_meaning_leaves_the_gaps_of_a_strided_dst():
    into = sbuf(np.full((4, 7), 7, np.float32)).seen(lambda t: t[:, 0:6:2])
    want = np.full((4, 7), 7, np.float32)
    want[:, 0:6:2] = X.max(2)
    assert np.array_equal(result("tensor_reduce", **{**CASE, "dst": into, "op": nl.maximum}), want)


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(sorted(OPS)), st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.integers(1, 1100), st.integers(1, 3),
    st.integers(1, 2), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_native_equals_meaning_for_every_dtype_and_long_groups(op, source, target, count, groups, step, negate, seed):
    data = sbuf(sample(source, (2, groups, count * step), seed), source).seen(lambda t: t[:, :, ::step])
    native_equals_meaning(
        "tensor_reduce", dst=out((2, groups), target), op=getattr(nl, op), data=data, axis=2, negate=negate
    )


def test_the_price_halves_for_bfloat16_sums_only():
    """SDK 2.26, nisa.tensor_reduce: N/2 cycles when input and output are bfloat16 and the operator is add or max."""
    data = RNG.standard_normal((128, 2048))

    def busy(source, target, op=nl.add):
        return price("tensor_reduce", dst=out((128, 1), target), op=op, data=sbuf(data, source), axis=1).busy_ns

    wide = busy("float32", "float32")
    assert (busy("bfloat16", "bfloat16"), wide) == pytest.approx((vector_ns(1024), vector_ns(2048)))
    assert busy("bfloat16", "float32") == busy("bfloat16", "bfloat16", nl.minimum) == wide
