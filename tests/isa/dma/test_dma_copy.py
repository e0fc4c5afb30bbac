"""dma_copy: rules by label, meaning against numpy written the long way, native core against the meaning."""

from __future__ import annotations

import numpy as np
import pytest
from harness import call, cast, hbm, native_equals_meaning, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError, MemoryFault
from opentrn.program.recorder import ACTIVE

RNG = np.random.default_rng(11)
X = RNG.standard_normal((16, 24)).astype(np.float32)
CASE = {"dst": out((16, 24)), "src": hbm(X)}
INDEX = np.array([[3], [0], [7], [3]], np.int32)


def rows(tensor, index, size=24):
    """A gather view of rows of a (n, size) HBM tensor."""
    return tensor.ap([[size, index.shape[0]], [1, size]], vector_offset=index, indirect_dim=0)


def gather(index, mode=nisa.oob_mode.error, background=0.0):
    """Rows of X picked by a kernel; the destination starts as `background`."""
    import opentrn

    def kernel(x, i):
        idx = nl.load(i)
        dst = nl.full((i.shape[0], 24), background, dtype=nl.float32)
        nisa.dma_copy(dst=dst, src=rows(x, idx), oob_mode=mode)
        result = nl.ndarray(dst.shape, dtype=nl.float32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result, src=dst)
        return result

    return opentrn.run(kernel)(X, index).results


def test_c1_accepts_other_ranks():
    got = result("dma_copy", dst=out((24, 2, 8)), src=hbm(X))
    assert np.array_equal(got.reshape(-1), X.reshape(-1))


def test_c1_refuses_other_sizes():
    refused("dma_copy", "c1", dst=out((16, 23)), src=hbm(X))


def test_c2_accepts_hwdge_on_trn2():
    call("dma_copy", **CASE, dge_mode=nisa.dge_mode.hwdge)


def test_c2_refuses_hwdge_on_trn1():
    refused("dma_copy", "c2", target="trn1", **CASE, dge_mode=nisa.dge_mode.hwdge)


def test_c3_accepts_conversion_without_hwdge():
    assert np.array_equal(result("dma_copy", dst=out((16, 24), "bfloat16"), src=hbm(X)), cast(X, "bfloat16"))


def test_c3_refuses_conversion_by_hwdge():
    refused("dma_copy", "c3", dst=out((16, 24), "bfloat16"), src=hbm(X), dge_mode=nisa.dge_mode.hwdge)


def test_skip_leaves_rows_out_whose_index_is_out_of_bounds():
    got = gather(np.array([[2], [99], [-1], [15]], np.int32), nisa.oob_mode.skip, background=7.0)
    assert np.array_equal(got, np.stack([X[2], np.full(24, 7.0), np.full(24, 7.0), X[15]]).astype(np.float32))


def test_skip_changes_nothing_where_no_index_is_taken():
    """The page restricts it to no kind of access (nki-library's moe_cte asks for it with static addresses)."""
    got = result("dma_copy", dst=out((16, 24)), src=hbm(X), oob_mode=nisa.oob_mode.skip)
    assert np.array_equal(got, X)


def test_c4_accepts_priority_on_trn3():
    call("dma_copy", target="trn3", **CASE, priority=2)


def test_c4_refuses_priority_on_trn2_and_out_of_range():
    refused("dma_copy", "c4", **CASE, priority=2)
    refused("dma_copy", "c4", target="trn3", **CASE, priority=4)


def test_c5_accepts_a_gather_from_hbm():
    assert np.array_equal(gather(INDEX), X[INDEX[:, 0]])


def test_c5_refuses_a_gather_from_sbuf():
    src = sbuf(X).seen(lambda t: t.ap([[24, 4], [1, 24]], vector_offset=_index(), indirect_dim=0))
    refused("dma_copy", "c5", dst=out((4, 24)), src=src)


def _index():
    made = nl.ndarray((4, 1), dtype=nl.int32)
    ACTIVE.recorder.state.fill(made, np.zeros((4, 1), np.int32))
    return made


def test_c6_accepts_hwdge_from_the_sync_engine():
    call("dma_copy", **CASE, dge_mode=nisa.dge_mode.hwdge, engine=nisa.engine.sync)


def test_c6_refuses_hwdge_from_gpsimd():
    refused("dma_copy", "c6", **CASE, dge_mode=nisa.dge_mode.hwdge, engine=nisa.engine.gpsimd)


def test_an_index_out_of_bounds_raises():
    with pytest.raises(KernelError, match="out of bounds"):
        gather(np.array([[2], [16]], np.int32))


def test_an_unwritten_source_raises():
    with pytest.raises(MemoryFault) as caught:
        call("dma_copy", dst=out((16, 24)), src=out((16, 24)))
    assert caught.value.kind == "uninitialised"


DTYPES = ["float32", "bfloat16", "float16", "float8_e4m3", "float8_e5m2", "int32", "uint8", "int16"]


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.integers(1, 9), st.integers(1, 3), st.integers(0, 2**32 - 1)
)
def test_meaning_is_a_cast_through_float32(source, target, rows, step, seed):
    values = np.random.default_rng(seed).integers(-100, 100, (rows, 5 * step)).astype(np.float32) / 4
    src = sbuf(values, source)
    got = result("dma_copy", dst=out((rows, 5), target), src=src.seen(lambda t: t[:, ::step]))
    if source == target:
        want = src.data[:, ::step]
    else:
        middle = src.data[:, ::step].astype(np.float32)
        if target.startswith(("int", "uint")):
            limits = np.iinfo(target)
            middle = np.clip(np.round(middle), limits.min, limits.max)
        want = cast(middle, target)
    assert np.array_equal(got.view(np.uint8), np.ascontiguousarray(want).view(np.uint8))


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.integers(1, 130), st.integers(1, 3), st.booleans())
def test_native_equals_meaning(source, target, columns, step, permuted):
    values = RNG.standard_normal((6, 2, columns * step)).astype(np.float32) * 50
    src = sbuf(values, source).seen(lambda t: t[:, :, ::step].permute((0, 2, 1)) if permuted else t[:, :, ::step])
    native_equals_meaning("dma_copy", dst=out((6, 2 * columns), target), src=src)
