"""Stalls: every wait once, under the instruction that was waited for."""

import pytest
from tests.profile.small import Move, Row, load_multiply_add, timeline
from tests.timing.synthetic import synthetic_timeline

from opentrn.profile.bounds import overheads
from opentrn.profile.critical import walk
from opentrn.profile.engines import engines
from opentrn.profile.lines import lines
from opentrn.profile.stalls import stalls


@pytest.mark.parametrize(("instructions", "cores"), [(0, 1), (1, 1), (900, 1), (600, 2)])
def test_every_wait_is_in_one_stall(instructions, cores):
    made = synthetic_timeline(instructions, 4, cores)
    found = stalls(made)
    assert sum(stall.us for stall in found) == pytest.approx(made.wait.sum() / 1e3)
    assert sum(stall.count for stall in found) >= (made.wait > 0).sum(), "one that waited twice counts twice"
    assert [stall.us for stall in found] == sorted((stall.us for stall in found), reverse=True)


def test_a_small_program_in_figures():
    first, *_ = stalls(load_multiply_add())
    assert (first.engine, first.cause, first.producer_engine) == ("sync", "semaphore", "vector")
    by_engine = {stall.engine: stall for stall in stalls(load_multiply_add())}
    load = by_engine["tensor"]
    assert (load.cause, load.producer_engine, load.producer.line, load.place.line) == ("dma", "dma", 1, 2)
    assert load.us == pytest.approx(2.115)


def test_waits_for_one_line_are_added_and_the_line_that_waits_most_is_named():
    rows = [
        Row("vector", 0, 100, line=1),
        Row("scalar", 100, 110, ready=60, cause="semaphore", blocker=0, line=2),
        Row("scalar", 200, 210, ready=110, cause="semaphore", blocker=0, line=3),
    ]
    (stall,) = stalls(timeline(rows))
    assert (stall.us, stall.count, stall.place.line) == (pytest.approx(0.13), 2, 3)


def test_a_wait_for_nothing_has_no_producer():
    (stall,) = stalls(timeline([Row("scalar", 50, 60, ready=0, cause="table")]))
    assert (stall.cause, stall.producer, stall.producer_engine) == ("table", None, None)


def test_lines_hold_every_instruction_and_the_path():
    made = synthetic_timeline(700, 8)
    path = walk(made)
    found = lines(made, path)
    assert sum(line.instructions for line in found) == 700
    assert sum(line.critical_us for line in found) == pytest.approx((path.gap.sum() + path.work.sum()) / 1e3)
    assert sum(line.busy_us for line in found) == pytest.approx(made.busy.sum() / 1e3)
    assert sum(line.dma_bytes for line in found) == made.dma.nbytes.sum()
    assert {line.instruction for line in found} == {op.name for op in made.operations}


def test_loading_weights_begins_when_they_are_there():
    rows = [
        Row("sync", 0, 60, 2000),
        Row("tensor", 2215, 2400, ready=100, cause="weights", blocker=0, line=2),
    ]
    made = timeline(rows, [Move(0, 500, 1900)])
    ready = 2000 + made.chip.cost.semaphore_ns
    found = {stall.cause: stall.us for stall in stalls(made)}
    assert found == pytest.approx({"dma": (ready - 100) / 1e3, "weights": (2215 - ready) / 1e3})
    assert engines(made)["tensor"].waits == pytest.approx(found)
    assert overheads(made)["weights"] == pytest.approx(found["weights"])


def test_a_table_that_is_loaded_after_the_instruction_before_is_all_its_own_wait():
    rows = [Row("scalar", 0, 100, 150), Row("scalar", 1400, 1500, ready=100, cause="table", blocker=0, line=2)]
    assert {stall.cause: stall.us for stall in stalls(timeline(rows))} == pytest.approx({"table": 1.3})
