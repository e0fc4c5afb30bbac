"""The made-up timelines keep the contract of `opentrn.timing.timeline`, so that tests built on them mean something."""

import numpy as np
import pytest
from tests.timing.synthetic import KERNEL, synthetic_timeline

from opentrn.timing.timeline import CAUSES, ENGINES


@pytest.mark.parametrize(("instructions", "cores"), [(0, 1), (1, 1), (1, 2), (2000, 1), (999, 2)])
def test_the_contract_holds(instructions, cores):
    made = synthetic_timeline(instructions, seed=3, cores=cores)
    assert len(made) == instructions
    assert (made.ready <= made.start).all() and (made.start <= made.end).all() and (made.end <= made.done).all()
    assert (made.done <= made.total_ns).all() and (np.diff(made.core.astype(int)) >= 0).all()
    for core in range(cores):
        for engine in range(len(ENGINES)):
            rows = (made.core == core) & (made.engine == engine)
            assert (made.start[rows][1:] >= made.end[rows][:-1]).all()
    assert (made.done[made.semaphores.producer] <= made.start[made.semaphores.consumer]).all()
    known = made.blocker >= 0
    assert (made.start[made.blocker[known]] <= made.start[known]).all()
    assert (made.core[made.blocker[known]] == made.core[known]).all()
    for series in made.occupancy.values():
        assert (np.diff(series.time) >= 0).all() and (series.value >= 0).all()


def test_it_is_the_same_each_time_and_varied():
    one, other, third = (synthetic_timeline(500, seed=seed) for seed in (1, 1, 2))
    assert (one.start == other.start).all() and (one.start != third.start).any()
    assert {"start", "engine", "semaphore", "dma"} <= {CAUSES[c] for c in np.unique(one.cause)}
    assert len(one.dma.instruction) > 50 and one.dma.tensor.max() < len(one.tensors)


def test_places_are_lines_of_the_example():
    made = synthetic_timeline(17)
    lines = KERNEL.read_text().splitlines()
    assert all(op.name in lines[place.line - 1] for op, place in zip(made.operations, made.places, strict=True))
