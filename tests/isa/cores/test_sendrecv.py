"""sendrecv: rules by label, exchanges between two cores, how it fails."""

from __future__ import annotations

import numpy as np
import pytest
from harness import bits, call, cast, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn.nki as nki
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError, MemoryFault

RNG = np.random.default_rng(41)
X = RNG.standard_normal((8, 12)).astype(np.float32)
CASE = {"src": sbuf(X), "dst": out((8, 12)), "send_to_rank": 0, "recv_from_rank": 0, "pipe_id": 0}
GPSIMD = nisa.dma_engine.gpsimd_dma


def swapped(data, width=None, cores=2, view=lambda tile: tile, dst_shape=None, **options):
    """Core n sends ``data[n]`` to the other core; gives back what each received."""

    @nki.jit
    def kernel(x):
        me = nl.program_id(0)
        src = nl.load(x[me])
        dst = nl.ndarray(dst_shape or view(src).shape, dtype=x.dtype, buffer=nl.sbuf)
        nisa.sendrecv(src=view(src), dst=dst, send_to_rank=1 - me, recv_from_rank=1 - me, pipe_id=0, **options)
        result = nl.ndarray((2, *dst.shape), dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result[me], src=dst)
        return result

    return kernel[cores](data)


# ------------------------------------------------------------------ rules
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32", "uint8", "float8_e4m3"])
def test_c1_accepts_one_dtype(dtype):
    data = cast(RNG.integers(0, 100, (4, 6)), dtype)
    got = result("sendrecv", **{**CASE, "src": sbuf(data, dtype), "dst": out((4, 6), dtype)})
    assert np.array_equal(bits(got), bits(data))


def test_c1_refuses_a_conversion():
    refused("sendrecv", "c1", **{**CASE, "dst": out((8, 12), "bfloat16")})
    refused("sendrecv", "c1", **{**CASE, "dst": out((8, 12), "int32")})


def test_c2_accepts_equal_elements_per_partition_in_other_shapes():
    """nki-library's transformer_tkg receives a 3-D tile into a 2-D slice."""
    got = result("sendrecv", **{**CASE, "dst": out((8, 3, 4))})
    assert np.array_equal(got.reshape(8, 12), X)


def test_c2_accepts_partitions_that_are_no_multiple_of_16():
    call("sendrecv", **{**CASE, "src": sbuf(X[:5]), "dst": out((5, 12))})


def test_c2_refuses_other_extents():
    refused("sendrecv", "c2", **{**CASE, "dst": out((8, 11))})
    refused("sendrecv", "c2", **{**CASE, "dst": out((4, 24))})


def test_c3_accepts_ranks_zero_and_one():
    assert swapped(np.stack([X, X])).shape == (2, 8, 12)


@pytest.mark.parametrize("rank", [2, -1])
def test_c3_refuses_other_ranks(rank):
    refused("sendrecv", "c3", **{**CASE, "send_to_rank": rank})
    refused("sendrecv", "c3", **{**CASE, "recv_from_rank": rank})


LIMITS = {"float32": 1024 // 4, "int32": 1024 // 4, "bfloat16": 512 // 2, "float16": 512 // 2, "uint8": 256}


@pytest.mark.parametrize("dtype", LIMITS)
def test_c4_accepts_up_to_the_limit(dtype):
    data = cast(np.ones((2, LIMITS[dtype])), dtype)
    call("sendrecv", **{**CASE, "src": sbuf(data, dtype), "dst": out(data.shape, dtype), "dma_engine": GPSIMD})


@pytest.mark.parametrize("dtype", LIMITS)
def test_c4_refuses_more_than_the_limit(dtype):
    data = cast(np.ones((2, LIMITS[dtype] + 1)), dtype)
    tiles = {"src": sbuf(data, dtype), "dst": out(data.shape, dtype)}
    refused("sendrecv", "c4", **{**CASE, **tiles, "dma_engine": GPSIMD})
    call("sendrecv", **{**CASE, **tiles})  # the DMA engines have no such limit


def test_both_tiles_are_in_sbuf():
    refused("sendrecv", "src.memory", **{**CASE, "src": CASE["src"].where(nl.psum)})
    refused("sendrecv", "dst.memory", **{**CASE, "dst": CASE["dst"].where(nl.private_hbm)})


def test_trn1_has_none():
    refused("sendrecv", "target", target="trn1", **CASE)


# ------------------------------------------------------------------ meaning
@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 128),
    st.integers(1, 40),
    st.sampled_from(["float32", "bfloat16", "int32", "uint8"]),
    st.integers(1, 3),
)
def test_meaning_each_core_gets_the_bits_of_the_other(partitions, elements, dtype, step):
    raw = RNG.integers(0, 256, (2, partitions, elements * step * 4), np.uint8)
    data = raw.view(cast(0, dtype).dtype)[..., : elements * step]
    got = swapped(np.ascontiguousarray(data), view=lambda tile: tile[:, ::step])
    want = np.ascontiguousarray(data[::-1, :, ::step])
    assert np.array_equal(np.ascontiguousarray(got).view(np.uint8), want.view(np.uint8))


def test_meaning_over_gpsimd_is_the_same_on_another_engine():
    def kernel(x):
        tile = nl.load(x)
        nisa.sendrecv(tile, tile, 0, 0, 0, GPSIMD)
        nisa.sendrecv(tile, tile, 0, 0, 0)
        nisa.dma_copy(dst=x, src=tile)

    report = nki.jit(kernel).report((X.copy(),), {})
    assert report.engines["gpsimd"] == 1
    assert np.array_equal(swapped(np.stack([X, -X]), dma_engine=GPSIMD), np.stack([-X, X]))


def test_meaning_to_itself_is_a_copy():
    assert np.array_equal(result("sendrecv", **CASE), X)


def test_meaning_in_place_swaps():
    @nki.jit
    def kernel(x):
        me = nl.program_id(0)
        tile = nl.load(x[me])
        nisa.sendrecv(tile, tile, 1 - me, 1 - me, pipe_id=0)
        result = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result[me], src=tile)
        return result

    assert np.array_equal(kernel[2](np.stack([X, -X])), np.stack([-X, X]))


def test_meaning_of_groups_each_pipe_meets_its_own():
    """Two exchanges in each of two pipes: the values tell which met which."""

    @nki.jit
    def kernel(x):
        me = nl.program_id(0)
        result = nl.ndarray((2, 2, 2), dtype=nl.float32, buffer=nl.shared_hbm)
        for turn in range(2):
            for pipe in range(2):
                tile = nl.full((1, 1), 100.0 * me + 10 * pipe + turn, dtype=nl.float32)
                nisa.sendrecv(tile, tile, 1 - me, 1 - me, pipe_id=pipe)
                nisa.dma_copy(dst=result[me, pipe, nl.ds(turn, 1)], src=tile)
        return result

    got = kernel[2](X)
    assert got.tolist() == [[[100.0, 101.0], [110.0, 111.0]], [[0.0, 1.0], [10.0, 11.0]]]


def test_a_send_that_nobody_receives_raises():
    @nki.jit
    def kernel(x):
        me = nl.program_id(0)
        tile = nl.load(x[me])
        nisa.sendrecv(tile, tile, send_to_rank=1 - me, recv_from_rank=me, pipe_id=0)

    with pytest.raises(KernelError, match="do not fit"):
        kernel[2](np.stack([X, X]))


# ------------------------------------------------------------------ failures
def test_another_core_in_a_launch_of_one_raises():
    with pytest.raises(KernelError, match="not there") as caught:
        call("sendrecv", **{**CASE, "send_to_rank": 1, "recv_from_rank": 1})
    assert "LNC2" in caught.value.expected
    assert caught.value.site is not None


@pytest.mark.parametrize("unlike", ["size", "dtype"])
def test_two_sides_that_do_not_fit_raise(unlike):
    @nki.jit
    def kernel(x):
        me = nl.program_id(0)
        shape = (4, 8 + me) if unlike == "size" else (4, 8)
        dtype = (nl.float32, nl.int32)[me] if unlike == "dtype" else nl.float32
        tile = nl.full(shape, 1, dtype=dtype)
        nisa.sendrecv(tile, nl.ndarray(shape, dtype=dtype), 1 - me, 1 - me, pipe_id=0)

    with pytest.raises(KernelError, match="do not fit") as caught:
        kernel[2](X)
    assert caught.value.site is not None


def test_pipes_that_never_meet_are_a_deadlock():
    @nki.jit
    def kernel(x):
        me = nl.program_id(0)
        tile = nl.load(x)
        nisa.sendrecv(tile, tile, 1 - me, 1 - me, pipe_id=me)

    with pytest.raises(KernelError, match=r"core 0 waits at sendrecv pipe 0 .*core 1 waits at sendrecv pipe 1"):
        kernel[2](X)


def test_meaning_bytes_that_nobody_wrote_stay_unwritten():
    """As in copies: nki-library's mlp_tkg sends a tile of which it filled a part, and uses that part."""

    def kernel(x):
        src, dst = (nl.ndarray((4, 6), dtype=x.dtype, buffer=nl.sbuf) for _ in range(2))
        nisa.dma_copy(dst=src[:, 0:2], src=x)
        other = 1 - nl.program_id(0)
        nisa.sendrecv(src=src, dst=dst, send_to_rank=other, recv_from_rank=other, pipe_id=0)
        part = dst[:, 0:2] if width == 2 else dst
        out = nl.ndarray(part.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out, src=nl.add(part, 1.0))
        return out

    width = 2
    assert np.array_equal(nki.jit(kernel)[2](X[:4, :2]), X[:4, :2] + 1)
    width = 6
    with pytest.raises(MemoryFault, match="never written"):
        nki.jit(kernel)[2](X[:4, :2])


def test_an_unwritten_source_raises():
    with pytest.raises(MemoryFault):
        call("sendrecv", **{**CASE, "src": out((8, 12))})
