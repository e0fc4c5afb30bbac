"""The rules of the event loop, each as "blocked at t - 1, ready at t", on both implementations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.timing.programs import COMPILED, Program, run

pytestmark = pytest.mark.parametrize("compiled", COMPILED)

ENGINES_OF_WORK = ("tensor", "vector", "scalar", "gpsimd", "sync")


@pytest.mark.parametrize("engine", ENGINES_OF_WORK)
def test_an_engine_issues_in_order_when_the_one_before_is_off_it(compiled: bool, engine: str) -> None:
    p = Program()
    p.do(engine, 100, latency=50)
    p.do(engine, 7)
    r = run(p, compiled=compiled)
    assert r.start(1) == 100  # not at 99, and not at 150: the result drains behind
    assert r.cause(1) == "engine"
    assert r.done(0) == 150


@pytest.mark.parametrize("engine", ENGINES_OF_WORK)
def test_an_engine_completes_in_order(compiled: bool, engine: str) -> None:
    p = Program()
    p.do(engine, 10, latency=500)
    p.do(engine, 10, latency=1)
    r = run(p, compiled=compiled)
    assert r.done(1) == r.done(0) == 510


@pytest.mark.parametrize(("producer", "consumer"), list(itertools.permutations(ENGINES_OF_WORK, 2)))
def test_a_result_is_there_one_semaphore_after_it_is_done(compiled: bool, producer: str, consumer: str) -> None:
    p = Program()
    a, b = p.tensor(), p.tensor()
    first = p.do(producer, 100, latency=30, writes=[a])
    second = p.do(consumer, 10, reads=[a], writes=[b])
    r = run(p, compiled=compiled)
    assert r.start(second) == 100 + 30 + 10
    assert r.cause(second) == "semaphore"
    assert r.waits(second) == [first]
    assert r.columns[0]["blocker"][second] == first


def test_an_engine_that_reads_its_own_result_waits_for_it(compiled: bool) -> None:
    p = Program()
    a, b = p.tensor(), p.tensor()
    p.do("vector", 100, latency=30, writes=[a])
    p.do("vector", 10, reads=[a], writes=[b])
    r = run(p, compiled=compiled)
    assert r.start(1) == 140
    assert r.waits(1) == []  # but without a semaphore


def test_tensor_engine_accumulates_without_waiting(compiled: bool) -> None:
    p = Program()
    psum = p.tensor(space=1, width=2048)
    p.do("tensor", 100, latency=60, reads=[psum], writes=[psum])
    p.do("tensor", 100, latency=60, reads=[psum], writes=[psum])
    assert run(p, compiled=compiled).start(1) == 100


@pytest.mark.parametrize(("access", "wait"), [("reads", 140.0), ("writes", 140.0)])
def test_a_writer_waits_for_readers_and_writers(compiled: bool, access: str, wait: float) -> None:
    p = Program()
    a = p.tensor()
    p.do("scalar", 100, latency=30, **{access: [a]})
    p.do("vector", 10, writes=[a])
    assert run(p, compiled=compiled).start(1) == wait


def test_readers_do_not_wait_for_readers(compiled: bool) -> None:
    p = Program()
    a = p.tensor()
    p.do("scalar", 100, reads=[a])
    p.do("vector", 10, reads=[a])
    assert run(p, compiled=compiled).start(1) == 0


def test_neighbouring_bytes_do_not_conflict(compiled: bool) -> None:
    p = Program()
    a = p.tensor(width=8)
    p.do("scalar", 100, writes=[a.region((128, 4), (8, 1))])
    beside = p.do("vector", 10, reads=[a.region((128, 4), (8, 1), offset=4)])
    touching = p.do("gpsimd", 10, reads=[a.region((128, 4), (8, 1), offset=3)])
    r = run(p, compiled=compiled)
    assert r.start(beside) == 0
    assert r.start(touching) == 110


def test_interleaved_columns_do_not_conflict(compiled: bool) -> None:
    p = Program()
    a = p.tensor(width=64)
    p.do("scalar", 100, writes=[a.region((128, 8), (64, 8))])
    odd = p.do("vector", 10, reads=[a.region((128, 8), (64, 8), offset=4)])
    even = p.do("gpsimd", 10, reads=[a.region((128, 4), (64, 16), offset=8)])
    r = run(p, compiled=compiled)
    assert (r.start(odd), r.start(even)) == (0, 110)


def test_other_partitions_do_not_conflict(compiled: bool) -> None:
    p = Program()
    a = p.tensor(width=64)
    p.do("scalar", 100, writes=[a.region((64, 64), (64, 1))])
    p.do("vector", 10, reads=[a.region((64, 64), (64, 1), offset=64 * 64)])
    assert run(p, compiled=compiled).start(1) == 0


def test_tensors_at_one_address_conflict(compiled: bool) -> None:
    p = Program()
    a, b = p.tensor(byte=512), p.tensor(byte=1024)
    p.do("scalar", 100, reads=[a])
    p.do("vector", 10, writes=[b])
    assert run(p, compiled=compiled).start(1) == 110


def test_an_implied_wait_needs_no_semaphore(compiled: bool) -> None:
    p = Program()
    a, b = p.tensor(), p.tensor()
    p.do("tensor", 10, writes=[a])
    p.do("scalar", 10, reads=[a], writes=[b])
    last = p.do("vector", 10, reads=[a, b])
    assert run(p, compiled=compiled).waits(last) == [1]


def test_a_result_of_its_own_that_others_have_waited_for_needs_no_wait(compiled: bool) -> None:
    p = Program()
    a, b, c, d = (p.tensor() for _ in range(4))
    p.do("vector", 10, writes=[a])
    p.do("scalar", 10, reads=[a], writes=[b])
    p.do("vector", 10, reads=[b], writes=[c])
    last = p.do("vector", 10, reads=[a], writes=[d])
    r = run(p, compiled=compiled, further_wait_ns=np.full(5, 1000.0))
    assert r.start(last) == r.start(2) + 10


def test_depends_on_is_a_wait(compiled: bool) -> None:
    p = Program()
    p.do("scalar", 100)
    p.do("vector", 10)
    p.edges.append((0, 1))
    r = run(p, compiled=compiled)
    assert r.start(1) == 110
    assert r.waits(1) == [0]


# -------------------------------------------------------------------- DMA
def test_a_dma_holds_its_engine_while_it_triggers_and_arrives_later(compiled: bool) -> None:
    p = Program()
    a = p.tensor()
    load = p.dma("sync", 1000, 100, first=50, complete=20, writes=[a])
    beside = p.do("sync", 1)
    use = p.do("vector", 1, reads=[a])
    r = run(p, compiled=compiled)
    assert r.start(beside) == 5
    assert (r.columns[0]["first"][load], r.columns[0]["last"][load], r.done(load)) == (50, 150, 170)
    assert r.start(use) == 180
    assert r.cause(use) == "dma"


def test_a_queue_moves_one_transfer_after_the_other(compiled: bool) -> None:
    p = Program()
    for _ in range(3):
        p.dma("sync", 1000, 100, first=50)
    r = run(p, compiled=compiled)
    assert r.columns[0]["first"].tolist() == [50, 150, 250]


def test_two_queues_share_the_dma_engines(compiled: bool) -> None:
    p = Program()
    p.dma("sync", 1000, 100)
    p.dma("scalar", 1000, 100)
    r = run(p, compiled=compiled)
    assert r.columns[0]["last"].tolist() == [200, 200]


def test_transfers_on_few_engines_hardly_meet(compiled: bool) -> None:
    p = Program()
    p.dma("sync", 1000, 100, engines=1)
    p.dma("scalar", 1000, 100, engines=1)
    r = run(p, compiled=compiled)
    np.testing.assert_allclose(r.columns[0]["last"], 100 * (1 + 1 / 16))


def test_a_core_moves_only_so_many_bytes(compiled: bool) -> None:
    p = Program()
    p.dma("sync", 1000, 100)
    assert run(p, compiled=compiled, core_bytes_per_ns=5.0).columns[0]["last"][0] == 200


def test_two_cores_share_a_stack_of_hbm(compiled: bool) -> None:
    a, b = Program(), Program()
    a.dma("sync", 1000, 100)
    b.dma("sync", 1000, 100)
    alone = run(a, compiled=compiled, stack_bytes_per_ns=10.0)
    both = run(a, b, compiled=compiled, stack_bytes_per_ns=10.0)
    assert alone.columns[0]["last"][0] == 100
    assert [c["last"][0] for c in both.columns] == [200, 200]


def test_a_buffer_is_refilled_when_its_reader_is_done(compiled: bool) -> None:
    p = Program()
    a = p.tensor()
    p.dma("sync", 1000, 100, writes=[a])
    reader = p.do("vector", 500, reads=[a])
    refill = p.dma("sync", 1000, 100, writes=[a])
    r = run(p, compiled=compiled)
    assert r.start(refill) == r.done(reader) + 10 == 620


# -------------------------------------------------------------------- ports, banks, tables, weights, clock
def test_vector_slows_down_while_gpsimd_holds_the_port(compiled: bool) -> None:
    p = Program()
    p.do("gpsimd", 100)
    p.do("vector", 1)
    fast = p.do("vector", 10, shared=40)
    r = run(p, compiled=compiled)
    assert r.columns[0]["end"][fast] == 41
    q = Program()
    q.do("vector", 100)
    q.do("gpsimd", 50)
    later = q.do("vector", 10, shared=40)  # at 100, when gpsimd is done
    assert run(q, compiled=compiled).columns[0]["end"][later] == 110


def test_on_a_shared_port_one_waits_for_the_other(compiled: bool) -> None:
    p = Program()
    p.do("gpsimd", 100)
    p.do("vector", 10)
    r = run(p, compiled=compiled, vector_gpsimd_parallel=False)
    starts = sorted([r.start(0), r.start(1)])
    assert starts in ([0, 10], [0, 100])
    assert "port" in (r.cause(0), r.cause(1))


@pytest.mark.parametrize(("bank", "wait"), [(0, 100.0), (1, 0.0)])
def test_vector_and_scalar_take_turns_at_a_psum_bank(compiled: bool, bank: int, wait: float) -> None:
    p = Program()
    left = p.tensor(space=1, width=1024, byte=0)
    right = p.tensor(space=1, width=1024, byte=1024 + 2048 * bank)
    p.do("vector", 100, reads=[left])
    p.do("scalar", 100, reads=[right])
    r = run(p, compiled=compiled)
    assert r.start(1) == wait
    assert r.cause(1) == ("bank" if wait else "start")


def test_where_psum_has_one_port_any_bank_conflicts(compiled: bool) -> None:
    p = Program()
    left, right = p.tensor(space=1, width=2048), p.tensor(space=1, width=2048)
    p.do("vector", 100, reads=[left])
    p.do("scalar", 100, reads=[right])
    assert run(p, compiled=compiled, vector_scalar_parallel=False).start(1) == 100


def test_an_activation_table_is_loaded_when_it_changes(compiled: bool) -> None:
    p = Program()
    for table in (0, 0, 1, -1, 1):
        p.do("scalar", 10, table=table)
    r = run(p, compiled=compiled)
    assert [r.start(n) for n in range(5)] == [1000, 1010, 2020, 2030, 2040]
    assert r.cause(2) == "table"


def test_a_table_is_loaded_while_the_data_is_on_its_way(compiled: bool) -> None:
    p = Program()
    a = p.tensor()
    p.do("vector", 1500, writes=[a])
    p.do("scalar", 10, table=0, reads=[a])
    r = run(p, compiled=compiled)
    assert r.start(1) == 1510
    assert r.cause(1) == "semaphore"


def test_each_semaphore_beyond_the_first_takes_engine_time(compiled: bool) -> None:
    p = Program()
    a, b, c = p.tensor(), p.tensor(), p.tensor()
    p.do("scalar", 10, writes=[a])
    p.do("gpsimd", 10, writes=[b])
    p.do("tensor", 100, reads=[c])
    one = p.do("vector", 100, reads=[a])
    two = p.do("vector", 1, reads=[b], writes=[c])
    r = run(p, compiled=compiled, further_wait_ns=np.array([0.0, 30, 0, 0, 0]))
    assert r.start(one) == 20
    assert r.waits(two) == [1, 2]
    assert r.start(two) == 120 + 30


def test_weights_load_behind_the_matmul_before(compiled: bool) -> None:
    p = Program()
    p.do("tensor", 100, preload=30)
    p.do("tensor", 20, preload=30)
    p.do("tensor", 20, preload=30)
    r = run(p, compiled=compiled)
    assert [r.start(n) for n in range(3)] == [30, 130, 160]  # hidden behind 100 ns, not behind 20
    assert [r.cause(n) for n in (1, 2)] == ["engine", "weights"]


def test_a_run_time_address_is_read_first(compiled: bool) -> None:
    p = Program()
    p.do("vector", 10, address=500)
    r = run(p, compiled=compiled)
    assert r.start(0) == 500
    assert r.cause(0) == "register"


def test_tensor_engine_starts_at_half_rate_and_warms_up(compiled: bool) -> None:
    p = Program()
    for _ in range(30):
        p.do("tensor", 100)
    r = run(p, compiled=compiled, clock_threshold=0.375)
    # the first window of 1000 ns runs five at half rate (half of its cycles in use), the next ones at full rate
    assert r.start(5) == 1000
    assert r.columns[0]["clock_change"].tolist() == [1000]
    assert r.start(29) == 1000 + 24 * 100


def test_the_first_window_may_end_early(compiled: bool) -> None:
    p = Program()
    for _ in range(10):
        p.do("tensor", 100)
    r = run(p, compiled=compiled, clock_threshold=0.375, clock_phase_ns=800.0)
    assert r.columns[0]["clock_change"].tolist() == [800]


def test_a_dma_trigger_takes_no_port(compiled: bool) -> None:
    p = Program()
    p.dma("gpsimd", 100, 10, first=1000)
    p.do("vector", 1)
    fast = p.do("vector", 10, shared=40)
    assert run(p, compiled=compiled).columns[0]["end"][fast] == 11


def test_tensor_engine_cools_down_when_it_idles(compiled: bool) -> None:
    p = Program()
    for _ in range(10):
        p.do("tensor", 100)
    p.do("vector", 10000)
    p.edges.append((10, 11))
    p.do("tensor", 100)
    r = run(p, compiled=compiled, clock_threshold=0.375)
    # warm from 1000 on; the window that begins at 1000 has 500 of its 1000 ns in use, the next one none
    assert r.columns[0]["clock_change"].tolist() == [1000, 3000]
    assert r.columns[0]["end"][11] - r.start(11) == 200


def test_the_kernel_begins_after_its_prologue(compiled: bool) -> None:
    p = Program()
    p.do("vector", 10)
    assert run(p, compiled=compiled, prologue_ns=777.0).start(0) == 777


# -------------------------------------------------------------------- two cores
def test_cores_meet_at_a_barrier(compiled: bool) -> None:
    a, b = Program(), Program()
    a.do("sync", 10, meets=0)
    b.do("sync", 300)
    b.do("sync", 10, meets=0)
    r = run(a, b, compiled=compiled)
    assert r.start(0, core=0) == r.start(1, core=1) == 300
    assert r.cause(0, core=0) == "core"


def test_a_barrier_that_one_core_never_reaches_is_told(compiled: bool) -> None:
    a, b = Program(), Program()
    a.do("sync", 10, meets=0)
    b.do("sync", 10)
    assert run(a, b, compiled=compiled).stuck == [(0, 4, 0, -1)]


def test_barriers_in_another_order_are_told(compiled: bool) -> None:
    a, b = Program(), Program()
    a.do("sync", 10, meets=0)
    a.do("sync", 10, meets=1)
    b.do("sync", 10, meets=1)
    b.do("sync", 10, meets=0)
    assert run(a, b, compiled=compiled).stuck == [(0, 4, 0, -1), (1, 4, 0, -1)]


def test_nothing_takes_no_time(compiled: bool) -> None:
    r = run(Program(), compiled=compiled)
    assert len(r.columns[0]["start"]) == 0
    assert r.stuck == []
