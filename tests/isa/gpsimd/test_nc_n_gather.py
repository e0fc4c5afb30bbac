"""nc_n_gather: rules by label, meaning against a loop over single elements."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from harness import bits, call, cast, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError, MemoryFault
from opentrn.isa.all import REGISTRY
from opentrn.isa.enums import engine
from opentrn.isa.spec import Use
from opentrn.machine import load_chip

RNG = np.random.default_rng(41)
X = RNG.standard_normal((4, 12)).astype(np.float32)
INDEX = RNG.integers(0, 12, (4, 5)).astype(np.uint32)
CASE = {"dst": out((4, 5)), "data": sbuf(X), "indices": sbuf(INDEX)}
DTYPES = ["float32", "bfloat16", "float8_e5m2", "int32", "uint8"]


def gathered(data, index):
    """Element by element."""
    return np.array([[row[i] for i in picks] for row, picks in zip(data, index, strict=True)], data.dtype)


def priced(elements):
    """The cost of gathering `elements` per partition, in ns."""
    made = REGISTRY["nc_n_gather"]
    assert made.price is not None
    values = {"dst": SimpleNamespace(elements=elements), "data": None, "indices": None}
    return made.price(Use(made, values, load_chip("trn2"), engine.gpsimd)).busy_ns


def test_c1_accepts_equal_partitions():
    assert np.array_equal(result("nc_n_gather", **CASE), gathered(X, INDEX))


def test_c1_refuses_other_partitions():
    refused("nc_n_gather", "c1", **{**CASE, "indices": sbuf(INDEX[:3])})
    refused("nc_n_gather", "c1", **{**CASE, "dst": out((3, 5))})


def test_c2_accepts_a_dst_of_another_rank():
    index = np.resize(INDEX, (4, 6))
    got = result("nc_n_gather", dst=out((4, 2, 3)), data=sbuf(X.reshape(4, 3, 4)), indices=sbuf(index))
    assert np.array_equal(got.reshape(4, 6), gathered(X, index))


def test_c2_refuses_another_count():
    refused("nc_n_gather", "c2", **{**CASE, "dst": out((4, 6))})
    refused("nc_n_gather", "c2", **{**CASE, "dst": out((4, 12))})


def test_c3_accepts_any_dtype_and_keeps_its_bits():
    odd = np.full((4, 12), 0x7FA50001, np.uint32).view(np.float32)
    assert (result("nc_n_gather", **{**CASE, "data": sbuf(odd)}).view(np.uint32) == 0x7FA50001).all()


def test_c3_refuses_a_cast():
    refused("nc_n_gather", "c3", **{**CASE, "dst": out((4, 5), "bfloat16")})


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(DTYPES), st.sampled_from(KINDS), st.sampled_from(KINDS), st.sampled_from(KINDS),
    st.sampled_from([1, 5, 128]), st.integers(1, 9), st.integers(1, 20), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_a_loop_over_elements(dtype, kind, index_kind, dst_kind, partitions, size, count, seed):
    rng = np.random.default_rng(seed)
    source, where, gone = (
        window(kind, partitions, size),
        window(index_kind, partitions, count),
        window(dst_kind, partitions, count),
    )
    data = cast(rng.integers(0, 120, source.shape), dtype)
    index = rng.integers(0, size, where.shape).astype(np.uint32)
    want = cast(np.full(gone.shape, 7), dtype)
    dst = sbuf(want.copy(), dtype).seen(gone.view)
    part = gone.look(want)
    plain = [np.ascontiguousarray(w.look(a)).reshape(partitions, -1) for w, a in ((source, data), (where, index))]
    part[...] = gathered(*plain).reshape(part.shape)
    got = result("nc_n_gather", dst=dst, data=sbuf(data, dtype).seen(source.view), indices=sbuf(index).seen(where.view))
    assert np.array_equal(bits(got), bits(want))


def test_meaning_in_place():
    def kernel(x, i):
        tile, index = nl.load(x), nl.load(i)
        nisa.nc_n_gather(tile, tile, index)
        nisa.dma_copy(dst=x, src=tile)
        return x

    backwards = np.tile(np.arange(12)[::-1], (4, 1)).astype(np.uint32)
    assert np.array_equal(opentrn.run(kernel)(X.copy(), backwards).results, X[:, ::-1])


@pytest.mark.parametrize("index", [12, 2**32 - 1])
def test_an_index_out_of_range_raises(index):
    wrong = INDEX.copy()
    wrong[3, 4] = index
    with pytest.raises(KernelError, match="out of bounds") as caught:
        call("nc_n_gather", **{**CASE, "indices": sbuf(wrong)})
    assert caught.value.got == str(index)


def half_written(index):
    """Gathers with `index` from tiles whose first six columns alone are written, and uses the result."""

    def kernel(x, i):
        source, where = nl.ndarray((4, 12), dtype=nl.float32), nl.load(i)
        target = nl.ndarray((4, 5), dtype=nl.float32)
        nisa.dma_copy(dst=source[:, :6], src=x[:, :6])
        nisa.nc_n_gather(target, source, where)
        nisa.tensor_scalar(target, target, nl.multiply, 2.0)
        nisa.dma_copy(dst=x[:, :5], src=target)
        return x

    return opentrn.run(kernel)(X.copy(), index).results[:, :5]


def test_only_what_is_gathered_has_to_be_written():
    low = INDEX % 6
    assert np.array_equal(half_written(low), 2 * gathered(X, low))
    low[2, 2] = 6
    with pytest.raises(MemoryFault, match="never written"):
        half_written(low)


def test_512_elements_are_one_instruction():
    chip = load_chip("trn2")
    start, cycle = chip.cost.gpsimd.fixed_cycles / 1.2, 1 / 1.2
    assert priced(512) == pytest.approx(start + 512 * cycle)
    assert priced(513) == pytest.approx(2 * start + 513 * cycle)
    assert priced(1025) == pytest.approx(3 * start + 1025 * cycle)
