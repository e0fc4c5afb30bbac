"""The critical path covers the kernel's time exactly, and its parts are named rightly."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.small import Row, load_multiply_add, timeline
from tests.timing.synthetic import synthetic_timeline

from opentrn.profile.critical import critical_path, walk


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 400), st.integers(0, 50), st.integers(1, 2))
def test_the_path_covers_the_time_without_gap_or_overlap(instructions, seed, cores):
    made = synthetic_timeline(instructions, seed, cores)
    path = walk(made)
    assert (path.gap >= 0).all() and (path.work >= 0).all() and path.prologue_ns >= 0 and path.epilogue_ns >= 0
    assert path.gap.sum() + path.work.sum() + path.prologue_ns + path.epilogue_ns == pytest.approx(made.total_ns)
    found = critical_path(made)
    for parts in (found.by_engine, found.by_cause, found.by_line):
        assert sum(part.us for part in parts) == pytest.approx(made.total_ns / 1e3)
        assert sum(part.share for part in parts) == pytest.approx(1)
    assert (np.diff(made.start[path.rows]) >= 0).all()


def test_a_small_program_in_figures():
    found = critical_path(load_multiply_add())
    assert found.instructions == 4
    engines = {part.name: part.us for part in found.by_engine}
    # the load holds sync 60 ns, then its bytes are on their way until 2200; handing over takes 15 ns twice
    assert engines == pytest.approx(
        {
            "dma": 2.04 + 2.04,
            "vector": 0.585,
            "tensor": 0.385,
            "sync": 0.12,
            "handover": 0.03,
            "prologue": 0.1,
            "epilogue": 0.1,
        }
    )
    causes = {part.name: part.us for part in found.by_cause}
    assert causes == pytest.approx(
        {"dma": 2.115, "semaphore": 0.4 + 0.585, "last instruction": 2.1, "prologue": 0.1, "epilogue": 0.1}
    )
    assert [part.place.line for part in found.by_line if part.place] == [1, 4, 3, 2]


def test_an_instruction_off_the_path_is_not_on_it():
    rows = [
        Row("vector", 0, 10),
        Row("scalar", 0, 100, line=2),
        Row("vector", 100, 120, ready=10, cause="semaphore", blocker=1, line=3),
    ]
    path = walk(timeline(rows))
    assert path.rows.tolist() == [1, 2]
    assert path.work.tolist() == [100, 20]


def test_waiting_for_the_engine_counts_to_its_end_and_not_its_result():
    rows = [Row("vector", 0, 50, 80), Row("vector", 50, 90, 130, ready=50, cause="engine", blocker=0, line=2)]
    path = walk(timeline(rows))
    assert path.work.tolist() == [50, 80]
    assert path.gap.tolist() == [0, 0]


def test_blockers_in_a_circle_end():
    rows = [Row("vector", 0, 10, cause="semaphore", blocker=1), Row("scalar", 0, 10, cause="semaphore", blocker=0)]
    assert len(walk(timeline(rows)).rows) <= 3
