"""dma_compute: rules by label, sums against explicit rounding, gather and scatter that read, add and write."""

from __future__ import annotations

import numpy as np
import pytest
from harness import call, cast, hbm, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError, MemoryFault
from opentrn.program.recorder import ACTIVE

RNG = np.random.default_rng(31)
X, Y = RNG.standard_normal((2, 8, 12)).astype(np.float32)
TABLE = RNG.standard_normal((20, 12)).astype(np.float32)
CASE = {"dst": out((8, 12)), "srcs": [hbm(X), hbm(Y)], "reduce_op": nl.add}
SKIP = nisa.oob_mode.skip
INDEX = np.array([3, 0, 19, 7, 11, 5, 1, 2])


def made(**changes):
    return {**CASE, **changes}


def rows(index, count=8, dtype="int32"):
    """A view of `count` rows of a (n, 12) tensor by an index tensor that holds `index`."""

    def view(tensor):
        held = nl.ndarray((len(index), 1), dtype=dtype)
        ACTIVE.recorder.state.fill(held, np.asarray(index).reshape(-1, 1).astype(dtype))
        return tensor.ap([[12, count], [1, 12]], vector_offset=held)

    return view


def by_register(tensor):
    return tensor.ap([[12, 8], [1, 12]], scalar_offset=nisa.register_alloc(0))


def gather_case(**changes):
    """dst(SBUF) = dst(SBUF) + src(HBM)[indices]"""
    return {"dst": sbuf(X), "srcs": [hbm(TABLE).seen(rows(INDEX)), sbuf(X)], "reduce_op": nl.add} | changes


# ------------------------------------------------------------------ rules
def test_c1_accepts_other_shapes_of_the_same_size():
    got = result("dma_compute", **made(dst=out((4, 24)), srcs=[hbm(X), hbm(Y.reshape(2, 4, 12))]))
    assert np.array_equal(got.reshape(-1), (X + Y).reshape(-1))


def test_c1_refuses_other_sizes():
    refused("dma_compute", "c1", **made(srcs=[hbm(X), hbm(Y[:7])]))
    refused("dma_compute", "c1", **made(dst=out((8, 13))))


def test_c2_accepts_sixteen_sources():
    got = result("dma_compute", **made(srcs=[hbm(X)] * 16))
    np.testing.assert_allclose(got, 16 * X, rtol=1e-6)


def test_c2_refuses_seventeen():
    refused("dma_compute", "c2", **made(srcs=[hbm(X)] * 17))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_c3_accepts_add():
    assert np.array_equal(result("dma_compute", **CASE), X + Y)
    assert np.array_equal(result("dma_compute", **made(reduce_op=np.add)), X + Y)


def test_c3_refuses_other_operators():
    for op in (nl.maximum, nl.multiply, nl.subtract):
        refused("dma_compute", "c3", **made(reduce_op=op))


@pytest.mark.parametrize("scales", [None, [1.0, 1.0], (1, 1.0)])
def test_c4_accepts_ones(scales):
    assert np.array_equal(result("dma_compute", **made(scales=scales)), X + Y)


def test_c4_refuses_other_scales():
    """NKI notes: an additive scale mode of older simulators does not exist."""
    refused("dma_compute", "c4", **made(scales=[1.0, 2.0]))
    refused("dma_compute", "c4", **made(scales=[0.0, 1.0]))
    refused("dma_compute", "c4", **made(scales=[1.0]))


def test_c5_accepts_two_sources_with_unique_indices():
    assert np.array_equal(result("dma_compute", **gather_case()), TABLE[INDEX] + X)


def test_c5_accepts_repetition_where_there_are_no_indices():
    call("dma_compute", **made(unique_indices=False))


def test_c5_refuses_other_numbers_and_repeated_indices():
    refused("dma_compute", "c5", **gather_case(unique_indices=False))
    refused("dma_compute", "c5", **gather_case(srcs=[hbm(TABLE).seen(rows(INDEX))]))
    refused("dma_compute", "c5", **gather_case(srcs=[hbm(TABLE).seen(rows(INDEX)), sbuf(X), sbuf(Y)]))


def test_c6_accepts_skip_with_indices():
    call("dma_compute", **gather_case(oob_mode=SKIP))


def test_c6_refuses_skip_without():
    refused("dma_compute", "c6", **made(oob_mode=SKIP))


def test_c7_accepts_a_scatter():
    got = scattered(TABLE, INDEX, X)
    want = TABLE.copy()
    want[INDEX] += X
    assert np.array_equal(got, want)


def test_c7_accepts_the_sources_in_either_order():
    assert np.array_equal(
        result("dma_compute", **gather_case(srcs=[sbuf(X), hbm(TABLE).seen(rows(INDEX))])), X + TABLE[INDEX]
    )


def test_c7_refuses_other_forms():
    table = hbm(TABLE).seen(rows(INDEX))
    refused("dma_compute", "c7", **gather_case(srcs=[table, table]))
    refused("dma_compute", "c7", **gather_case(srcs=[table, hbm(X)]))
    refused("dma_compute", "c7", **gather_case(dst=out((8, 12), region=nl.private_hbm)))
    refused("dma_compute", "c7", **gather_case(dst=table, srcs=[sbuf(X), sbuf(Y)]))
    refused("dma_compute", "c7", **gather_case(dst=table, srcs=[table, hbm(Y)]))
    onchip = sbuf(TABLE).seen(rows(INDEX))
    refused("dma_compute", "c7", **gather_case(srcs=[onchip, sbuf(X)]))


def test_c8_accepts_static_views_everywhere():
    sliced = hbm(TABLE).seen(lambda t: t[4:12])
    assert np.array_equal(result("dma_compute", **made(srcs=[sliced, sbuf(X)])), TABLE[4:12] + X)


def test_c8_refuses_a_scalar_run_time_address():
    refused("dma_compute", "c8", **made(srcs=[hbm(TABLE).seen(by_register), hbm(Y)]))
    refused("dma_compute", "c8", **made(dst=hbm(TABLE).seen(by_register)))


def test_psum_is_refused():
    refused("dma_compute", "dst.memory", **made(dst=out((8, 12), region=nl.psum)))


def test_no_sources_are_refused():
    refused("dma_compute", "srcs.kind", **made(srcs=[]))


# ------------------------------------------------------------------ meaning
DTYPES = ["float32", "bfloat16", "float16", "float8_e5m2", "int32", "uint8", "int16"]


def rounded(value, dtype):
    if dtype.startswith(("int", "uint")):
        limits = np.iinfo(dtype)
        return np.clip(np.rint(value), limits.min, limits.max).astype(dtype)
    return cast(value, dtype)


@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.tuples(st.sampled_from(DTYPES), st.booleans()), min_size=1, max_size=5),
    st.sampled_from(DTYPES),
    st.tuples(st.integers(1, 9), st.integers(1, 13)),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
)
def test_meaning_is_one_sum_in_float32_rounded_once(kinds, target, shape, step, seed):
    rng = np.random.default_rng(seed)
    srcs, total = [], None
    for dtype, on_chip in kinds:
        low = 0 if dtype == "uint8" else -50
        data = cast(rng.integers(low, 50, (shape[0], shape[1] * step)) / (1 if "int" in dtype else 8), dtype)
        srcs.append((sbuf if on_chip else hbm)(data, dtype).seen(lambda t: t[:, ::step]))
        term = data[:, ::step].astype(np.float32)
        total = term if total is None else (total.astype(np.float64) + term).astype(np.float32)
    got = result("dma_compute", dst=out(shape, target), srcs=srcs, reduce_op=nl.add)
    assert np.array_equal(got.view(np.uint8), rounded(total, target).view(np.uint8))


def test_meaning_keeps_a_negative_zero():
    zeros = np.full((1, 4), -0.0, np.float32)
    assert np.signbit(result("dma_compute", dst=out((1, 4)), srcs=[hbm(zeros), hbm(zeros)], reduce_op=nl.add)).all()


def test_meaning_adds_in_float32_not_in_the_dtype_of_the_sources():
    big, small = cast([[256.0]], "bfloat16"), cast([[1.0]], "bfloat16")
    got = result("dma_compute", dst=out((1, 1)), srcs=[hbm(big), hbm(small), hbm(small)], reduce_op=nl.add)
    assert got[0, 0] == 258.0  # 256 + 1 is 256 in bfloat16


def test_meaning_of_a_sum_into_one_of_its_sources():
    """nki-library adds the halves of an output into the first half."""

    def kernel(x):
        nisa.dma_compute(x[0:4], [x[0:4], x[4:8]], scales=[1.0, 1.0], reduce_op=nl.add)

    x = X.copy()
    opentrn.run(kernel)(x)
    assert np.array_equal(x, np.concatenate([X[:4] + X[4:], X[4:]]))


def scattered(table, index, data, oob_mode=nisa.oob_mode.error):
    """table[index] += data by a kernel; gives back the table."""

    def kernel(table, i, d):
        held, tile = nl.load(i), nl.load(d)
        view = table.ap([[12, d.shape[0]], [1, 12]], vector_offset=held, indirect_dim=0)
        nisa.dma_compute(view, [view, tile], nl.add, unique_indices=True, oob_mode=oob_mode)

    held = table.copy()
    opentrn.run(kernel)(held, np.asarray(index).reshape(-1, 1).astype(np.int32), data)
    return held


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(-3, 25), min_size=1, max_size=16, unique=True), st.booleans(), st.integers(0, 2**32 - 1))
def test_meaning_of_gather_and_scatter_row_by_row(index, scatter, seed):
    data = np.random.default_rng(seed).standard_normal((len(index), 12)).astype(np.float32)
    legal = [0 <= i < 20 for i in index]
    if scatter:
        got, want = scattered(TABLE, index, data, SKIP), TABLE.copy()
        for n, i in enumerate(index):
            if legal[n]:
                want[i] = want[i] + data[n]
    else:
        view = rows(index, len(index))
        got = result(
            "dma_compute", dst=sbuf(data), srcs=[hbm(TABLE).seen(view), sbuf(data)], reduce_op=nl.add, oob_mode=SKIP
        )
        want = np.stack([TABLE[i] + data[n] if legal[n] else data[n] for n, i in enumerate(index)])
    assert np.array_equal(got, want)


@pytest.mark.parametrize("bad", [20, -1])
def test_an_index_out_of_bounds_raises_and_nothing_is_written(bad):
    index = INDEX.copy()
    index[4] = bad
    table = TABLE.copy()

    def kernel(table, i, d):
        view = table.ap([[12, 8], [1, 12]], vector_offset=nl.load(i))
        nisa.dma_compute(view, [view, nl.load(d)], nl.add)

    with pytest.raises(KernelError) as caught:
        opentrn.run(kernel)(table, index.reshape(-1, 1).astype(np.int32), X)
    assert f"index {bad}" in caught.value.got
    assert np.array_equal(table, TABLE)


def test_the_gather_of_topk_reduce():
    """Rows by a column of uint32 indices, the first copied and the rest added."""
    index = RNG.integers(0, 20, (6, 3)).astype(np.uint32)
    half = 6

    def kernel(table, i):
        found, total = nl.load(i), nl.ndarray((6, half), dtype=table.dtype)
        for k in range(3):
            source = table.ap(
                [[0, 6], [1, half]], offset=half, indirect_dim=0, vector_offset=found.ap([[3, 6], [1, 1]], offset=k)
            )
            if k == 0:
                nisa.dma_copy(dst=total[:, :], src=source)
            else:
                nisa.dma_compute(dst=total[:, :], srcs=[source, total[:, :]], reduce_op=nl.add, unique_indices=True)
        result = nl.ndarray((6, half), dtype=table.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result, src=total)
        return result

    want = sum(TABLE[index[:, k].astype(int), half:] for k in range(3))
    np.testing.assert_allclose(opentrn.run(kernel)(TABLE, index).results, want, rtol=1e-6)


def test_an_unwritten_source_raises():
    with pytest.raises(MemoryFault, match=r"srcs\[1\]"):
        call("dma_compute", **made(srcs=[hbm(X), out((8, 12), region=nl.private_hbm)]))
