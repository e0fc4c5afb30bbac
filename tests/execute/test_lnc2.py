"""kernel[2]: two cores, shared and private memories, barriers and exchanges, failures; several launches in one process."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import opentrn.nki as nki
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import CapacityError, KernelError, MemoryFault

RNG = np.random.default_rng(5)
X = RNG.standard_normal((16, 32)).astype(np.float32)
MESSAGE = "[NCC_INKI016] Kernel validation exception: H must be even"


def half(tensor):
    """This core's rows."""
    rows = tensor.shape[0] // nl.num_programs()
    return tensor[nl.ds(nl.program_id(0) * rows, rows)]


def other_half(tensor):
    rows = tensor.shape[0] // 2
    return tensor[nl.ds((1 - nl.program_id(0)) * rows, rows)]


@nki.jit
def who(x):
    out = nl.ndarray((2, 2), dtype=nl.int32, buffer=nl.shared_hbm)
    row = nl.ndarray((1, 2), dtype=nl.int32)
    nisa.memset(row[:, 0:1], value=nl.program_id(0))
    nisa.memset(row[:, 1:2], value=nl.num_programs(0))
    nisa.dma_copy(dst=out[nl.ds(nl.program_id(), 1)], src=row)
    return out


def test_program_id_and_num_programs():
    assert who[2](X).tolist() == [[0, 2], [1, 2]]


def test_one_core_sees_itself_alone():
    @nki.jit
    def alone(x):
        assert (nl.program_id(0), nl.num_programs(), nl.program_ndim()) == (0, 1, 0)
        nisa.dma_copy(dst=x, src=x)

    assert alone(X.copy()) is None
    assert alone[1](X.copy()) is None


@nki.jit
def doubled(x):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(half(x))
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=2.0)
    nisa.dma_copy(dst=half(out), src=tile)
    return out


def test_halves_written_by_both_cores_are_one_result():
    assert np.array_equal(doubled[2](X), 2 * X)


def test_a_report_counts_both_cores():
    report = nki_report(doubled[2])
    assert report.lnc == 2
    assert report.instructions["dma_copy"] == 4
    assert len(report.memory) == 2


def nki_report(kernel):
    return kernel.report((X,), {})


def test_several_launches_in_one_process_are_alike_and_leave_no_threads():
    before = threading.active_count()
    for _ in range(10):
        assert np.array_equal(doubled[2](X), 2 * X)
        assert np.array_equal(doubled[1](X), 2 * X)
    assert threading.active_count() == before


def test_barrier_exchange_of_halves():
    @nki.jit
    def swapped(x):
        between = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=half(between), src=nl.load(half(x)))
        nisa.core_barrier(between, (0, 1))
        nisa.dma_copy(dst=half(out), src=nl.load(other_half(between)))
        return out

    assert np.array_equal(swapped[2](X), np.concatenate([X[8:], X[:8]]))


def test_without_the_barrier_the_other_half_may_not_be_there():
    @nki.jit
    def careless(x):
        between = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        if nl.program_id(0) == 0:
            nisa.dma_copy(dst=half(out), src=nl.load(other_half(between)))
        nisa.dma_copy(dst=half(between), src=nl.load(half(x)))
        return out

    with pytest.raises(MemoryFault, match="never written"):
        careless[2](X)


@pytest.mark.parametrize("dma_engine", [nisa.dma_engine.dma, nisa.dma_engine.gpsimd_dma])
def test_sendrecv_all_reduce(dma_engine):
    @nki.jit
    def total(x):
        out = nl.ndarray((2, 8, 32), dtype=x.dtype, buffer=nl.shared_hbm)
        mine, theirs = nl.load(half(x)), nl.ndarray((8, 32), dtype=x.dtype)
        other = 1 - nl.program_id(0)
        nisa.sendrecv(mine, theirs, send_to_rank=other, recv_from_rank=other, pipe_id=0, dma_engine=dma_engine)
        nisa.tensor_tensor(mine, mine, theirs, nl.add)
        nisa.dma_copy(dst=out[nl.program_id(0)], src=mine)
        return out

    want = X[:8] + X[8:]
    assert np.array_equal(total[2](X), np.stack([want, want]))


def test_memories_are_private_except_for_shared_hbm():
    @nki.jit
    def private(x):
        out = nl.ndarray((2, 4), dtype=nl.float32, buffer=nl.shared_hbm)
        mine = nl.ndarray((1, 4), dtype=nl.float32, buffer=nl.private_hbm)
        tile = nl.full((1, 4), float(nl.program_id(0)), dtype=nl.float32)
        nisa.dma_copy(dst=mine, src=tile)
        nisa.core_barrier(out, (0, 1))
        nisa.dma_copy(dst=tile, src=mine)
        nisa.dma_copy(dst=out[nl.ds(nl.program_id(0), 1)], src=tile)
        return out

    assert private[2](X).tolist() == [[0.0] * 4, [1.0] * 4]


def test_shared_tensors_are_matched_by_the_order_of_allocation():
    @nki.jit
    def two(x):
        first = nl.ndarray((2, 4), dtype=nl.float32, buffer=nl.shared_hbm)
        _private = nl.ndarray((2, 4), dtype=nl.float32, buffer=nl.private_hbm)
        second = nl.ndarray((2, 4), dtype=nl.float32, buffer=nl.shared_hbm)
        for n, tensor in enumerate((first, second)):
            tile = nl.full((1, 4), 10.0 * n + nl.program_id(0), dtype=nl.float32)
            nisa.dma_copy(dst=tensor[nl.ds(nl.program_id(0), 1)], src=tile)
        return first, second

    first, second = two[2](X)
    assert first[:, 0].tolist() == [0.0, 1.0]
    assert second[:, 0].tolist() == [10.0, 11.0]


@pytest.mark.parametrize(("shape", "dtype"), [((2, 5), nl.float32), ((2, 4), nl.bfloat16)])
def test_different_shared_tensors_are_refused(shape, dtype):
    @nki.jit
    def unlike(x):
        if nl.program_id(0) == 0:
            return nl.ndarray((2, 4), dtype=nl.float32, buffer=nl.shared_hbm)
        return nl.ndarray(shape, dtype=dtype, buffer=nl.shared_hbm)

    with pytest.raises(KernelError) as caught:
        unlike[2](X)
    text = str(caught.value)
    assert "different shared_hbm" in text
    assert "core 1: " + str(shape) in text
    assert "(2, 4)" in text
    assert caught.value.site is not None
    assert caught.value.site.function == "unlike"


def test_a_barrier_of_one_core_only_is_a_deadlock_that_names_the_line():
    @nki.jit
    def lonely(x):
        out = nl.ndarray((2, 4), dtype=nl.float32, buffer=nl.shared_hbm)
        if nl.program_id(0) == 0:
            nisa.core_barrier(out, (0, 1))
        return out

    with pytest.raises(KernelError) as caught:
        lonely[2](X)
    text = str(caught.value)
    assert "core 0 waits at core_barrier" in text
    assert "core 1 has ended" in text
    assert "test_lnc2.py:" in text
    assert "lonely" in text


def test_cores_at_different_places_name_both():
    @nki.jit
    def crossed(x):
        out = nl.ndarray(x.shape, dtype=nl.float32, buffer=nl.shared_hbm)
        tile = nl.load(x)
        if nl.program_id(0) == 0:
            nisa.core_barrier(out, (0, 1))
        else:
            nisa.sendrecv(tile, tile, send_to_rank=0, recv_from_rank=0, pipe_id=3)
        return out

    with pytest.raises(KernelError, match=r"core 0 waits at core_barrier .*core 1 waits at sendrecv pipe 3"):
        crossed[2](X)


@pytest.mark.parametrize("failing", [0, 1])
def test_an_assertion_on_one_core_keeps_its_text(failing):
    @nki.jit
    def asserting(x):
        out = nl.ndarray(x.shape, dtype=nl.float32, buffer=nl.shared_hbm)
        if nl.program_id(0) == failing:
            raise AssertionError(MESSAGE)
        nisa.core_barrier(out, (0, 1))
        return out

    with pytest.raises(AssertionError) as caught:
        asserting[2](X)
    assert str(caught.value) == MESSAGE
    assert np.array_equal(doubled[2](X), 2 * X)  # and the next launch is not disturbed


def test_a_rule_broken_on_one_core():
    @nki.jit
    def wrong(x):
        tile = nl.load(half(x))
        if nl.program_id(0) == 1:
            nisa.tensor_copy(dst=tile[:, 0:3], src=tile[:, 0:4])
        nisa.core_barrier(x, (0, 1))

    with pytest.raises(AssertionError, match=r"tensor_copy, rule c1"):
        wrong[2](X)


def test_stores_into_an_argument_by_both_cores():
    @nki.jit
    def in_place(x):
        tile = nl.load(half(x))
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)
        nisa.dma_copy(dst=half(x), src=tile)

    held = X.copy()
    assert in_place[2](held) is None
    assert np.array_equal(held, X + 1)


def test_capacity_is_counted_for_each_core():
    @nki.jit
    def full(x):
        tiles = [nl.full((128, 12000), 0.0, dtype=nl.float32) for _ in range(4)]  # 4 x 48,000 bytes of a partition
        nisa.tensor_tensor(tiles[0], tiles[0], tiles[1], nl.add)
        nisa.tensor_tensor(tiles[2], tiles[2], tiles[3], nl.add)
        nisa.dma_copy(dst=x, src=x)

    assert full[2](X.copy()) is None

    @nki.jit
    def too_full(x):
        tiles = [nl.full((128, 12000), 0.0, dtype=nl.float32) for _ in range(4 + nl.program_id(0))]
        for tile in tiles:
            nisa.tensor_tensor(tiles[0], tiles[0], tile, nl.add)
        nisa.dma_copy(dst=x, src=x)

    with pytest.raises(CapacityError, match="sbuf"):
        too_full[2](X.copy())


@pytest.mark.parametrize("lnc", [0, 3, 4])
def test_other_numbers_of_cores_are_refused(lnc):
    with pytest.raises(TypeError, match=f"LNC {lnc}"):
        who[lnc](X)


def test_trn1_has_one_core(monkeypatch):
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn1")
    with pytest.raises(TypeError, match="LNC 2 on trn1"):
        who[2](X)
