"""The allocator on made-up lifetimes: who may share what, where tensors may sit, and what the peak is."""

from __future__ import annotations

import numpy as np
import pytest
from harness import inside
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import CapacityError, Site
from opentrn.isa.enums import MemoryRegion
from opentrn.numerics.dtypes import DTYPES
from opentrn.program.allocate import allocate, spread
from opentrn.program.storage import Allocation

SBUF, PSUM = MemoryRegion.sbuf, MemoryRegion.psum
BANK = 2048


def tensor(number, partitions, nbytes, first, last, region=SBUF, address=None, name=""):
    """`nbytes` bytes in each of `partitions` partitions, live from record `first` to `last`."""
    site = Site("kernel.py", 10 + number, "kernel")
    made = Allocation(
        number,
        name or f"t{number}",
        (partitions, nbytes),
        DTYPES["uint8"],
        region,
        0,
        site,
        address,
        manual=address is not None,
    )
    made.first, made.last = first, last
    return made


def place(*facts, capacity=1 << 16, region=SBUF, bank=None):
    """Tensors from (partitions, bytes, first, last[, address]) rows, placed."""
    made = [tensor(n, *row[:4], region, *row[4:]) for n, row in enumerate(facts)]
    return made, allocate(made, region, capacity, bank)


def test_the_space_of_a_dead_tensor_is_used_again():
    (a, b, c), memory = place((128, 1000, 0, 3), (128, 1000, 2, 6), (128, 1000, 4, 8))
    assert a.address == (0, 0)
    assert b.address == (0, 1008)  # granules of 16 bytes
    assert c.address == (0, 0)
    assert memory.peak == 2008


def test_a_tensor_lives_through_its_last_instruction():
    (a, b), _ = place((128, 1000, 0, 3), (128, 1000, 3, 6))
    assert a.address != b.address


def test_tensors_of_32_partitions_share_columns_in_four_quadrants():
    made, memory = place(*[(32, 4096, 0, 9)] * 5)
    assert {t.address for t in made[:4]} == {(0, 0), (32, 0), (64, 0), (96, 0)}
    assert made[4].address == (0, 4096)
    assert memory.peak == 8192


def test_tensors_of_64_partitions_share_columns_in_two_halves():
    made, _ = place((64, 512, 0, 9), (40, 512, 0, 9), (33, 512, 0, 9))
    assert [t.address for t in made] == [(0, 0), (64, 0), (0, 512)]


def test_more_than_64_partitions_start_at_zero():
    made, _ = place((32, 64, 0, 9), (65, 64, 0, 9), (128, 64, 0, 9))
    assert [t.address for t in made] == [(0, 0), (0, 64), (0, 128)]


def test_unused_tensors_take_no_space_and_other_memories_are_not_looked_at():
    idle, elsewhere = tensor(0, 128, 64, -1, -1), tensor(1, 128, 64, 0, 5, PSUM)
    used = tensor(2, 128, 64, 0, 5)
    memory = allocate([idle, elsewhere, used], SBUF, 1 << 16)
    assert (idle.address, elsewhere.address, used.address) == (None, None, (0, 0))
    assert memory.tensors == [used]


def test_psum_tensors_do_not_cross_a_bank():
    made, _ = place((128, 1536, 0, 9), (128, 1024, 0, 9), (128, 512, 0, 9), capacity=8 * BANK, region=PSUM, bank=BANK)
    assert [t.address[1] for t in made] == [0, BANK, 1536]


def test_large_psum_tensors_start_on_a_bank():
    made, _ = place(
        (128, 512, 0, 9), (128, 2 * BANK, 0, 9), (128, BANK, 0, 9), capacity=8 * BANK, region=PSUM, bank=BANK
    )
    assert [t.address[1] for t in made] == [0, BANK, 3 * BANK]


def test_psum_has_eight_banks():
    rows = [(128, BANK, 0, 9)] * 8
    made, memory = place(*rows, capacity=8 * BANK, region=PSUM, bank=BANK)
    assert sorted(t.address[1] // BANK for t in made) == list(range(8))
    assert memory.peak == 8 * BANK
    with pytest.raises(CapacityError, match="psum is over capacity"):
        place(*rows, (128, 4, 0, 9), capacity=8 * BANK, region=PSUM, bank=BANK)


def test_manual_addresses_stay_and_others_go_around_them():
    made, _ = place((128, 64, 0, 9, (0, 128)), (128, 128, 0, 9), (128, 64, 0, 9), (32, 64, 0, 9, (96, 0)))
    assert made[0].address == (0, 128)
    assert made[3].address == (96, 0)
    assert made[1].address is not None
    assert made[2].address is not None


def test_manual_tensors_may_overlap():
    made, memory = place((128, 64, 0, 9, (0, 0)), (128, 64, 0, 9, (0, 32)), (128, 64, 0, 9))
    assert [t.address for t in made] == [(0, 0), (0, 32), (0, 96)]
    assert memory.peak == 160


def test_over_capacity_lists_the_live_tensors_largest_first_with_their_sites():
    with pytest.raises(CapacityError) as caught:
        place(
            (128, 100, 0, 1),
            (128, 3000, 0, 9),
            (128, 5000, 2, 9),
            (128, 4000, 5, 9),
            (128, 9999, 6, 9),
            capacity=10_000,
        )
    text = str(caught.value)
    assert "sbuf is over capacity: t3 [128, 4000] uint8 sbuf at kernel.py:13 in kernel does not fit" in text
    assert "12,000 bytes per partition live at instruction 5" in text
    assert text.index("5,000 B [") < text.index("4,000 B [") < text.index("3,000 B [")
    assert "kernel.py:12" in text
    assert "kernel.py:11" in text
    assert "t0" not in text  # dead by then
    assert "t4" not in text  # not yet live
    assert "at most 10,000 bytes" in text
    assert caught.value.site == Site("kernel.py", 13, "kernel")
    assert caught.value.hint


def test_a_long_list_is_cut():
    with pytest.raises(CapacityError, match=r"and \d+ smaller ones"):
        place(*[(128, 160, 0, 9)] * 30, capacity=4000)


def test_fragments_that_are_too_small_are_told_by_the_same_message():
    # 64 bytes are free, in two pieces
    with pytest.raises(CapacityError, match="t4"):
        place((128, 32, 0, 1), (128, 32, 0, 9), (128, 32, 0, 1), (128, 32, 0, 9), (128, 64, 5, 9), capacity=128)


def test_the_kernels_line_is_in_the_message():
    def kernel(x):
        tiles = [nl.full((128, 10_000), 0.0, dtype=nl.float32) for _ in range(6)]
        for tile in tiles:
            nisa.tensor_tensor(tiles[0], tiles[0], tile, nl.add)
        nisa.dma_copy(dst=x, src=x)

    with pytest.raises(CapacityError) as caught:
        opentrn.run(kernel)(np.zeros((1, 1), np.float32))
    assert "test_allocate.py" in str(caught.value)
    assert "float32" in str(caught.value)


def test_a_tensor_larger_than_the_memory_is_refused_when_it_is_made():
    @inside
    def _():
        with pytest.raises(CapacityError, match="larger than psum"):
            nl.ndarray((128, 4097), dtype=nl.float32, buffer=nl.psum)


def test_a_loop_needs_no_more_than_one_round():
    def kernel(x):
        for _ in range(50):
            tile = nl.full((128, 10_000), 0.0, dtype=nl.float32)
            nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)
        nisa.dma_copy(dst=x, src=x)

    memory = opentrn.run(kernel)(np.zeros((1, 1), np.float32)).memory[0][SBUF]
    assert memory.peak == 40_000


LIFE = st.tuples(
    st.sampled_from([1, 20, 32, 33, 64, 65, 128]), st.integers(1, 900), st.integers(0, 20), st.integers(0, 12)
)


@settings(deadline=None, max_examples=150)
@given(st.lists(LIFE, min_size=1, max_size=14), st.booleans())
def test_against_a_sweep_over_every_moment_and_byte(lives, banked):
    """Oracle: at every instruction mark each live tensor's bytes in a partition-by-byte picture of the memory."""
    rows = [(p, n, first, first + length) for p, n, first, length in lives]
    capacity = 8 * BANK
    made, memory = place(*rows, capacity=capacity, region=PSUM if banked else SBUF, bank=BANK if banked else None)
    highest, busiest = 0, 0
    for moment in range(33):
        picture = np.zeros((128, capacity), np.int8)
        for (partitions, nbytes, first, last), each in zip(rows, made, strict=True):
            if first <= moment <= last:
                partition, byte = each.address
                assert partition + partitions <= 128
                assert byte + nbytes <= capacity
                assert partition % (32 if partitions <= 32 else 64 if partitions <= 64 else 128) == 0
                assert not banked or byte // BANK == (byte + nbytes - 1) // BANK
                picture[partition : partition + partitions, byte : byte + nbytes] += 1
        assert picture.max() <= 1, f"two live tensors share bytes at instruction {moment}"
        used = np.flatnonzero(picture.any(0))
        highest = max(highest, int(used[-1]) + 1 if used.size else 0)
        busiest = max(busiest, used.size)
    assert memory.peak == highest
    assert memory.peak >= busiest
    assert {t.id for t in memory.live_at(memory.peak_at)} >= {
        t.id for t in made if t.address[1] + t.partition_bytes == highest and t.first <= memory.peak_at <= t.last
    }


@settings(deadline=None, max_examples=60)
@given(st.lists(LIFE, min_size=1, max_size=14))
def test_the_same_lives_give_the_same_addresses(lives):
    rows = [(p, n, first, first + length) for p, n, first, length in lives]
    once, again = place(*rows)[0], place(*rows)[0]
    assert [t.address for t in once] == [t.address for t in again]


# -------------------------------------------------------------------- spread
def test_spread_lets_the_next_tile_be_filled_while_the_last_is_in_use():
    rows = [(128, 1024, n, n) for n in range(6)]
    made, memory = place(*rows, capacity=4096)
    assert {t.address for t in made} == {(0, 0)}  # packed: one buffer
    spread(memory)
    assert [t.address for t in made] == [(0, 0), (0, 1024), (0, 2048), (0, 3072), (0, 0), (0, 1024)]
    assert memory.peak == 1024  # what the kernel needs stays what it is


def test_spread_goes_through_the_banks_of_psum():
    made, memory = place(*[(128, 2048, n, n) for n in range(5)], capacity=4 * BANK, region=PSUM, bank=BANK)
    spread(memory, BANK)
    assert [t.address for t in made] == [(0, 0), (0, 2048), (0, 4096), (0, 6144), (0, 0)]


def test_spread_starts_a_tensor_that_would_cross_a_bank_on_the_next_one():
    made, memory = place((128, 1200, 0, 0), (128, 1200, 1, 1), capacity=4 * BANK, region=PSUM, bank=BANK)
    spread(memory, BANK)
    assert [t.address for t in made] == [(0, 0), (0, 2048)]


def test_spread_leaves_manual_addresses_alone():
    made, memory = place((128, 1024, 0, 9, (0, 0)), (128, 1024, 1, 1), (128, 1024, 2, 2), capacity=3072)
    spread(memory)
    assert made[0].address == (0, 0)
    assert all(t.address != (0, 0) for t in made[1:])


def test_where_tensors_fit_only_packed_they_stay_packed():
    # spread, the third one would sit in the middle and leave no room for the last
    rows = [(128, 1024, 0, 9), (128, 1024, 1, 1), (128, 1024, 2, 9), (128, 2048, 3, 3)]
    made, memory = place(*rows, capacity=4096)
    packed = [t.address for t in made]
    spread(memory)
    assert [t.address for t in made] == packed == [(0, 0), (0, 1024), (0, 1024), (0, 2048)]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.sampled_from([16, 32, 64, 128]), st.integers(1, 900), st.integers(0, 30), st.integers(0, 6)),
        min_size=1,
        max_size=40,
    )
)
def test_spread_tensors_that_live_together_lie_apart(rows):
    made, memory = place(*[(p, n, first, first + more) for p, n, first, more in rows])
    spread(memory)
    _assert_apart(made)


def _assert_apart(made):
    for n, a in enumerate(made):
        for b in made[:n]:
            if a.first <= b.last and b.first <= a.last:
                (pa, ba), (pb, bb) = a.address, b.address
                columns = ba < bb + b.partition_bytes and bb < ba + a.partition_bytes
                rows = pa < pb + b.partitions and pb < pa + a.partitions
                assert not (columns and rows), (a, a.address, b, b.address)
