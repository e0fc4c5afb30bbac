"""busy + wait + idle is the whole time, on every engine, and the causes of waiting add up to it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.small import Row, load_multiply_add, timeline
from tests.timing.synthetic import synthetic_timeline

from opentrn.profile.engines import engines, engines_of
from opentrn.timing.timeline import CAUSES, ENGINES


def assert_conserved(engine, total_us):
    assert engine.total_us == pytest.approx(total_us)
    assert engine.busy_us + engine.wait_us + engine.idle_us == pytest.approx(total_us)
    assert min(engine.busy_us, engine.wait_us) >= 0 and engine.idle_us >= -1e-9
    assert sum(engine.waits.values()) == pytest.approx(engine.wait_us)
    assert set(engine.waits) <= set(CAUSES)
    assert engine.utilisation == pytest.approx(engine.busy_us / total_us)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 400), st.integers(0, 50), st.integers(1, 2))
def test_nothing_is_lost(instructions, seed, cores):
    made = synthetic_timeline(instructions, seed, cores)
    for engine in engines(made).values():
        assert_conserved(engine, cores * made.total_ns / 1e3)
    for core in range(cores):
        for engine in engines_of(made, core).values():
            assert_conserved(engine, made.total_ns / 1e3)
    assert sum(engine.instructions for engine in engines(made).values()) == instructions


def test_a_small_program_in_figures():
    found = engines(load_multiply_add())
    assert tuple(found) == ENGINES
    tensor, sync, scalar = found["tensor"], found["sync"], found["scalar"]
    assert (tensor.busy_us, tensor.wait_us) == pytest.approx((0.213, 2.115))
    assert tensor.waits == pytest.approx({"dma": 2.115})
    assert (sync.busy_us, sync.wait_us, sync.instructions) == pytest.approx((0.12, 3.04, 2))
    assert (scalar.busy_us, scalar.wait_us, scalar.idle_us, scalar.utilisation) == pytest.approx((0, 0, 5.4, 0))


def test_two_cores_are_joined():
    rows = [Row("vector", 0, 10), Row("vector", 0, 30, core=1)]
    made = timeline(rows, total=40)
    assert engines(made)["vector"].busy_us == pytest.approx(0.04)
    assert engines(made)["vector"].utilisation == pytest.approx(0.5)
    assert engines_of(made, 1)["vector"].utilisation == pytest.approx(0.75)


def test_instructions_side_by_side_on_tiles_of_the_array_count_once():
    made = timeline([Row("tensor", 0, 100), Row("tensor", 50, 150, ready=50)], total=200)
    assert engines(made)["tensor"].busy_us == pytest.approx(0.15)
