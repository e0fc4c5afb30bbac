"""Tensors at addresses given by hand: reading bytes that a neighbour has overwritten is a fault."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import pytest
from harness import inside
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn
import opentrn.nki as nki
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import AddressError, MemoryFault


def at(partition, byte, shape=(4, 8), dtype=nl.float32, buffer=nl.sbuf, name=""):
    return nl.ndarray(shape, dtype=dtype, buffer=buffer, address=(partition, byte), name=name)


def write(view, value=1.0):
    nisa.memset(view, value=value)
    inside.core().flush()  # a fault stops its whole batch


def read(view):
    nisa.tensor_copy(dst=nl.ndarray(view.shape, dtype=view.dtype, buffer=nl.sbuf), src=view)
    inside.core().flush()


def clobbered(view) -> MemoryFault:
    with pytest.raises(MemoryFault) as caught:
        read(view)
    assert caught.value.kind == "clobber"
    return caught.value


def test_a_partial_overlap_loses_only_the_common_bytes():
    @inside
    def _():
        first, second = at(0, 0, name="first"), at(0, 16, name="second")  # 32 bytes each: bytes 16 to 31 are common
        write(first)
        write(second)
        read(second)
        read(first[:, 0:4])
        fault = clobbered(first[:, 3:5])
        assert fault.got.startswith("16 bytes of first")  # one float of each of 4 partitions
        assert "second" in fault.hint
        assert "(0, 16)" in fault.hint
        assert fault.site.function == "read"
        assert "tensor_copy" in str(fault)


def test_overwritten_then_written_again_is_good():
    @inside
    def _():
        first, second = at(0, 0), at(0, 0)
        write(first)
        write(second)
        clobbered(first)
        write(first[:, 0:2])
        read(first[:, 0:2])
        clobbered(first)
        write(first)
        read(first)
        clobbered(second)


def test_nothing_is_lost_while_the_neighbour_is_not_written():
    @inside
    def _():
        first, second = at(0, 0), at(0, 0)
        write(first)
        read(first)
        write(second[:, 6:8])
        read(first[:, 0:6])
        clobbered(first)


def test_disjoint_partitions_do_not_overlap():
    @inside
    def _():
        low, high = at(0, 0, (32, 8)), at(32, 0, (32, 8))
        write(low)
        write(high)
        read(low)
        read(high)


def test_partly_common_partitions():
    @inside
    def _():
        wide, high = at(0, 0, (64, 8)), at(32, 0, (32, 8))
        write(wide)
        write(high)
        read(wide[0:32])
        clobbered(wide[32:64])


def test_sbuf_and_psum_are_different_memories():
    @inside
    def _():
        first, second = at(0, 0), at(0, 0, buffer=nl.psum)
        write(first)
        write(second)
        read(first)


def test_tensors_without_address_never_clobber():
    @inside
    def _():
        first = at(0, 0)
        write(first)
        write(nl.ndarray((128, 8), dtype=nl.float32, buffer=nl.sbuf))
        read(first)


def test_a_dead_neighbour_still_took_the_bytes():
    @inside
    def _():
        first, second = at(0, 0), at(0, 0)
        write(first)
        write(second)
        inside.core().flush()
        del second
        assert "a dead tensor" in clobbered(first).hint


def test_a_neighbour_that_is_gone_is_no_danger():
    @inside
    def _():
        for value in range(5):  # the usual loop over one buffer's address
            tile = at(0, 0)
            write(tile, float(value))
            read(tile)


def test_among_many_tensors_of_which_most_are_gone_the_living_are_still_known():
    @inside
    def _():
        kept = [at(0, 64 * n, name=f"kept{n}") for n in range(100)]  # 32 bytes each, 32 apart
        for n in range(500):
            at(32, 64 * (n % 50))
        for tensor in kept:
            write(tensor)
        write(at(0, 64 * 70 + 28))  # its first float is the last of each of the four rows
        assert clobbered(kept[70]).got.startswith("16 bytes of kept70")
        for n in (*range(70), *range(71, 100)):
            read(kept[n])


def test_the_neighbours_dtype_does_not_matter():
    @inside
    def _():
        words, halves = at(0, 0, (4, 4), nl.int32), at(0, 4, (4, 2), nl.bfloat16)
        write(words, 5)
        write(halves)
        read(words[:, 0:1])
        read(words[:, 2:4])
        assert clobbered(words).got.startswith("16 bytes")


def test_a_buffer_that_was_never_written_has_nothing_to_lose():
    """Two tensors of one PSUM bank in turns, both allocated before: the first product into each overwrites."""

    @inside
    def _():
        first, second = (at(0, 0, (8, 8), buffer=nl.psum) for _ in range(2))
        ones = nl.full((4, 8), 1.0, dtype=nl.bfloat16)
        for psum in (first, second):
            nisa.nc_matmul(dst=psum, stationary=ones, moving=ones)
            read(psum)
        clobbered(first)


def test_indices_that_were_overwritten_are_a_fault_too():
    @inside
    def _():
        indices, other = at(0, 0, (4, 1), nl.int32), at(0, 0)
        source = nl.ndarray((4, 8), dtype=nl.float32, buffer=nl.private_hbm)
        nisa.dma_copy(dst=source, src=nl.zeros((4, 8), dtype=nl.float32, buffer=nl.sbuf))
        write(indices, 1)
        rows = nl.ndarray((4, 8), dtype=nl.float32, buffer=nl.sbuf)
        nisa.dma_copy(dst=rows, src=source.ap([[8, 4], [1, 8]], vector_offset=indices, indirect_dim=0))
        write(other)
        nisa.dma_copy(dst=rows, src=source.ap([[8, 4], [1, 8]], vector_offset=indices, indirect_dim=0))
        with pytest.raises(MemoryFault, match="index reads bytes that another tensor has overwritten"):
            inside.core().flush()


def test_a_product_that_overwrites_reads_nothing():
    @inside
    def _():
        first, second = (at(0, 0, (8, 8), buffer=nl.psum) for _ in range(2))
        ones = nl.full((4, 8), 1.0, dtype=nl.bfloat16)
        for _ in range(3):
            for psum in (first, second):
                nisa.nc_matmul(dst=psum, stationary=ones, moving=ones, accumulate=False)
                read(psum)


def test_a_product_that_accumulates_onto_lost_bytes_is_a_fault():
    @inside
    def _():
        first, second = (at(0, 0, (8, 8), buffer=nl.psum) for _ in range(2))
        ones = nl.full((4, 8), 1.0, dtype=nl.bfloat16)
        for psum in (first, second):
            nisa.nc_matmul(dst=psum, stationary=ones, moving=ones)
        nisa.nc_matmul(dst=first, stationary=ones, moving=ones, accumulate=True)
        with pytest.raises(MemoryFault, match="overwritten"):
            inside.core().flush()


def test_without_strict_it_is_a_warning():
    def kernel(x):
        first, second = at(0, 0), at(0, 0)
        write(first, 1.0)
        write(second, 2.0)
        nisa.dma_copy(dst=x, src=first)

    x = np.zeros((4, 8), np.float32)
    report = opentrn.run(kernel, strict=False)(x)
    assert [w.kind for w in report.warnings] == ["clobber"]
    assert (x == 1).all()  # every tensor owns its values; the fault is what the chip would have done
    with pytest.raises(MemoryFault):
        opentrn.run(kernel)(x)


def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_the_chip_does_not_have_is_given_back():
    resident = []

    @nki.jit
    def kernel(x):
        kept = []
        for _ in range(100):  # 400 MiB, in turn at the same 4 MiB
            kept.append(at(0, 0, (128, 8192)))
            nisa.memset(kept[-1], value=1.0)
            resident.append(resident_mib())
        nisa.dma_copy(dst=x, src=kept[-1][:4, :8])

    x = np.zeros((4, 8), np.float32)
    kernel(x)
    assert (x == 1).all() and resident[-1] - resident[0] < 200


@pytest.mark.parametrize("part", [slice(None), slice(0, 4)])
def test_what_was_given_back_can_be_written_again(part):
    @inside
    def _():
        first, second = at(0, 0), at(0, 0)
        write(first, 1.0)
        write(second, 2.0)
        write(first[:, part], 3.0)
        read(first[:, part])
        assert (first[:, part].numpy() == 3).all()
        assert clobbered(second).got.startswith("128 bytes" if part == slice(None) else "64 bytes")
        if part != slice(None):
            assert clobbered(first).got.startswith("64 bytes")


@pytest.mark.parametrize("address", [(0, -64), (-32, 0), (128, 0), (125, 0), (0, 300_000)])
def test_addresses_that_the_memory_does_not_have(address):
    @inside
    def _():
        with pytest.raises(AddressError) as caught:
            at(*address)
        assert caught.value.site is not None
        assert caught.value.got


BOX = st.tuples(
    st.integers(0, 1), st.integers(0, 5), st.integers(1, 6)
)  # half of the partitions, first granule, granules
STEP = st.tuples(st.sampled_from(["write", "read"]), st.integers(0, 3), st.integers(0, 5), st.integers(1, 6))


@settings(deadline=None, max_examples=80)
@given(st.lists(BOX, min_size=2, max_size=4), st.lists(STEP, max_size=12))
def test_against_a_memory_that_remembers_who_wrote_each_byte(boxes, steps):
    """Oracle: one owner for each byte of the memory; a read is good when it finds its own tensor everywhere."""
    owner = np.full((64, 12 * 16), -1)

    @inside
    def _():
        tensors = [at(32 * half, 16 * start, (32, 4 * size)) for half, start, size in boxes]
        for number, (tensor, (half, start, _)) in enumerate(zip(tensors, boxes, strict=True)):
            write(tensor)
            owner[32 * half : 32 * half + 32, 16 * start : 16 * start + tensor.shape[1] * 4] = number
        for what, which, column, columns in steps:
            number = which % len(tensors)
            tensor, (half, start, _) = tensors[number], boxes[number]
            column %= tensor.shape[1]
            part = tensor[:, column : min(column + columns, tensor.shape[1])]
            first = 16 * start + 4 * column
            window = owner[32 * half : 32 * half + 32, first : first + 4 * part.shape[1]]
            if what == "write":
                write(part)
                window[...] = number
            elif (window == number).all():
                read(part)
            else:
                assert clobbered(part).got.startswith(f"{int((window != number).sum())} bytes")
