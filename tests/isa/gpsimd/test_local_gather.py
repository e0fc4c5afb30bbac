"""local_gather: rules by label, meaning against a loop over single elements, and the example of the page."""

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

RNG = np.random.default_rng(31)
X = RNG.standard_normal((32, 40)).astype(np.float32)
INDEX = RNG.integers(0, 40, (32, 2)).astype(np.uint16)
CASE = {"dst": out((32, 32)), "src_buffer": sbuf(X), "index": sbuf(INDEX)}
DTYPES = ["float32", "bfloat16", "float8_e4m3", "int32", "uint16", "int8"]


def gathered(data, index, each, count):
    """Element by element: index number i of a group is in its partition i % 16, column i // 16."""
    want = np.empty((len(data), count * each), data.dtype)
    for p in range(len(data)):
        for i in range(count):
            first = int(index[p // 16 * 16 + i % 16, i // 16])
            for e in range(each):
                want[p, i * each + e] = data[p, first + e]
    return want


def priced(each, count, itemsize=4):
    """The cost of gathering `count` times `each` elements."""
    values = {
        "dst": None, "src_buffer": SimpleNamespace(dt=SimpleNamespace(itemsize=itemsize)), "index": None,
        "num_elem_per_idx": each, "num_valid_indices": count,
    }  # fmt: skip
    made = REGISTRY["local_gather"]
    assert made.price is not None
    return made.price(Use(made, values, load_chip("trn2"), engine.gpsimd)).busy_ns


@pytest.mark.parametrize("partitions", [16, 32, 64, 128])
def test_c1_accepts_multiples_of_16(partitions):
    data, index = np.resize(X, (partitions, 40)), np.resize(INDEX, (partitions, 2))
    got = result("local_gather", dst=out((partitions, 32)), src_buffer=sbuf(data), index=sbuf(index))
    assert np.array_equal(got, gathered(data, index, 1, 32))


def test_c1_refuses_other_partitions():
    small = {"dst": out((24, 32)), "src_buffer": sbuf(X[:24]), "index": sbuf(INDEX[:24])}
    refused("local_gather", "c1", **small)
    refused("local_gather", "c1", **{**CASE, "index": sbuf(INDEX[:16])})


@pytest.mark.parametrize("each", [1, 2, 4, 8, 16, 32])
def test_c2_accepts_powers_of_two(each):
    index = (INDEX % 8).astype(np.uint16)
    got = result("local_gather", dst=out((32, 32 * each)), src_buffer=sbuf(X), index=sbuf(index), num_elem_per_idx=each)
    assert np.array_equal(got, gathered(X, index, each, 32))


@pytest.mark.parametrize("each", [0, 3, 64, -1])
def test_c2_refuses_other_sizes(each):
    refused("local_gather", "c2", **CASE, num_elem_per_idx=each)


def test_c3_accepts_a_part_of_the_indices_and_4096():
    got = result("local_gather", **{**CASE, "dst": out((32, 19))}, num_valid_indices=19)
    assert np.array_equal(got, gathered(X, INDEX, 1, 19))
    index = np.resize(INDEX, (16, 256))
    got = result("local_gather", dst=out((16, 4096)), src_buffer=sbuf(X[:16]), index=sbuf(index))
    assert np.array_equal(got, gathered(X[:16], index, 1, 4096))


def test_c3_refuses_more_indices_than_there_are():
    refused("local_gather", "c3", **{**CASE, "dst": out((32, 33))}, num_valid_indices=33)
    refused("local_gather", "c3", **CASE, num_valid_indices=0)
    index = np.resize(INDEX, (16, 257))
    refused("local_gather", "c3", dst=out((16, 4112)), src_buffer=sbuf(X[:16]), index=sbuf(index))


def test_c4_accepts_any_dtype_and_keeps_its_bits():
    odd = np.full((32, 40), 0x7FA5, np.uint16).view(cast(0, "bfloat16").dtype)
    got = result("local_gather", dst=out((32, 32), "bfloat16"), src_buffer=sbuf(odd), index=sbuf(INDEX))
    assert (got.view(np.uint16) == 0x7FA5).all()


def test_c4_refuses_casts_and_other_partitions():
    refused("local_gather", "c4", **{**CASE, "dst": out((32, 32), "bfloat16")})
    refused("local_gather", "c4", **{**CASE, "dst": out((16, 32))})


def test_c5_accepts_a_dst_of_the_right_size():
    index = (INDEX * 0 + np.arange(2) * 8).astype(np.uint16)
    case = {**CASE, "dst": out((32, 20, 4)), "index": sbuf(index)}
    got = result("local_gather", **case, num_elem_per_idx=4, num_valid_indices=20)
    assert np.array_equal(got.reshape(32, 80), gathered(X, index, 4, 20))


def test_c5_refuses_the_known_issue_of_nki_0_6_0():
    """Release notes: num_elem_per_idx is ignored unless num_valid_indices * num_elem_per_idx fills dst."""
    refused("local_gather", "c5", **CASE, num_elem_per_idx=2)
    refused("local_gather", "c5", **{**CASE, "dst": out((32, 64))}, num_elem_per_idx=2, num_valid_indices=16)
    refused("local_gather", "c5", **{**CASE, "dst": out((32, 31))})


def test_meaning_of_the_example_of_the_page():
    """test_nki_isa_local_gather.py (SDK 2.32): 128 partitions, (512, 4) elements, 64 indices in units of elements."""
    data = RNG.random((128, 512, 4), np.float32)
    picks = RNG.integers(0, 512, (16, 4)).astype(np.uint16)
    index = np.tile(picks * 4, (8, 1)).astype(np.uint16)
    case = {"dst": out((128, 4, 16, 4)), "src_buffer": sbuf(data), "index": sbuf(index)}
    got = result("local_gather", **case, num_elem_per_idx=4, num_valid_indices=64)
    assert np.array_equal(got.reshape(128, 64, 4), np.take(data, picks.flatten(order="F"), axis=1))


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(DTYPES), st.sampled_from(KINDS), st.sampled_from(KINDS), st.sampled_from(KINDS),
    st.sampled_from([16, 32, 96]), st.sampled_from([1, 2, 8]), st.integers(1, 48), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_a_loop_over_elements(dtype, kind, index_kind, dst_kind, partitions, each, count, seed):
    """Sub-views and access patterns of dst among them: release notes, NKI 0.5.0."""
    rng = np.random.default_rng(seed)
    source, where, gone = (
        window(kind, partitions, 21),
        window(index_kind, partitions, 3),
        window(dst_kind, partitions, count * each),
    )
    data = cast(rng.integers(0, 120, source.shape), dtype)
    index = rng.integers(0, 22 - each, where.shape).astype(np.uint16)
    want = cast(np.full(gone.shape, 7), dtype)
    dst = sbuf(want.copy(), dtype).seen(gone.view)
    part = gone.look(want)
    plain = [np.ascontiguousarray(w.look(a)).reshape(partitions, -1) for w, a in ((source, data), (where, index))]
    part[...] = gathered(*plain, each, count).reshape(part.shape)
    got = result(
        "local_gather", dst=dst, src_buffer=sbuf(data, dtype).seen(source.view), index=sbuf(index).seen(where.view),
        num_elem_per_idx=each, num_valid_indices=count,
    )  # fmt: skip
    assert np.array_equal(bits(got), bits(want))


@pytest.mark.parametrize(("each", "first"), [(1, 40), (4, 37), (1, 65535)])
def test_an_index_out_of_bounds_raises(each, first):
    index = np.full((32, 2), 3, np.uint16)
    index[21, 1] = first
    case = {"dst": out((32, 32 * each)), "src_buffer": sbuf(X), "index": sbuf(index), "num_elem_per_idx": each}
    with pytest.raises(KernelError, match="out of bounds") as caught:
        call("local_gather", **case)
    assert str(first) in str(caught.value.got)


def test_an_index_that_is_not_valid_is_not_looked_at():
    index = INDEX.copy()
    index[:, 1] = 65535
    got = result("local_gather", **{**CASE, "dst": out((32, 16)), "index": sbuf(index)}, num_valid_indices=16)
    assert np.array_equal(got, gathered(X, index, 1, 16))


def half_written(partitions):
    """Gathers from a source whose first 16 partitions alone are written; reads `partitions` of the result."""

    def kernel(x, i):
        source, index = nl.ndarray((32, 40), dtype=nl.float32), nl.load(i)
        target = nl.ndarray((32, 32), dtype=nl.float32)
        nisa.dma_copy(dst=source[:16], src=x[:16])
        nisa.local_gather(target, source, index)
        nisa.tensor_scalar(target[:partitions], target[:partitions], nl.multiply, 2.0)
        nisa.dma_copy(dst=x[:16, :32], src=target[:16])
        return x

    return opentrn.run(kernel)(X.copy(), INDEX).results[:16, :32]


def test_partitions_that_nobody_wrote_are_gathered_but_cannot_be_used():
    """nki-library's selective_expert_impl gathers from 128 partitions of which it has loaded T."""
    assert np.array_equal(half_written(16), 2 * gathered(X, INDEX, 1, 32)[:16])
    with pytest.raises(MemoryFault, match="never written"):
        half_written(32)


def test_the_cost_is_the_printed_formula_with_c_as_cycles_per_element():
    clock = load_chip("trn2").engines.gpsimd.clock_hz / 1e9
    assert priced(1, 64) * clock == pytest.approx(150 + 64 * 8)
    assert priced(32, 64, 2) * clock == pytest.approx(150 + 64 * 32 * (156 / 128) / 2)
    assert priced(4, 16) < priced(1, 64)
