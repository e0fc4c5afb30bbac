"""Bytes moved are bytes asked; what comes twice is found."""

import numpy as np
import pytest
from tests.profile.small import Move, Row, load_multiply_add, tensor, timeline
from tests.timing.synthetic import synthetic_timeline

from opentrn.machine.chip import load_chip
from opentrn.profile.traffic import once_bytes, traffic

KIB = 1024


def moved(*moves, **facts):
    rows = [Row("sync", 10 * n, 10 * n + 5, line=10 + n) for n in range(len(moves))]
    return timeline(
        rows, [Move(row=n, first=100.0 * n, last=100.0 * n + 50, **m) for n, m in enumerate(moves)], 1000, **facts
    )


@pytest.mark.parametrize(("instructions", "cores"), [(0, 1), (500, 1), (800, 2)])
def test_bytes_moved_are_bytes_asked(instructions, cores):
    made = synthetic_timeline(instructions, 1, cores)
    found = traffic(made)
    assert found.nbytes == made.dma.nbytes.sum() == sum(found.directions.values())
    assert found.nbytes == sum(queue.nbytes for queue in found.queues)
    assert found.transfers == sum(queue.transfers for queue in found.queues) == len(made.dma.nbytes)
    assert found.bandwidth_gbps == pytest.approx(found.nbytes / made.total_ns)
    assert found.active_us <= made.total_ns / 1e3


def test_each_direction_counts_where_it_touches_hbm():
    found = traffic(moved(*({"nbytes": 2**n, "direction": n} for n in range(4))))
    assert (found.hbm_read_bytes, found.hbm_written_bytes) == (1 + 4, 2 + 4)
    assert found.directions == {"hbm_to_sbuf": 1, "sbuf_to_hbm": 2, "hbm_to_hbm": 4, "on_chip": 8}


def test_peak_is_the_engines_of_one_core_and_the_stack_of_two():
    chip = load_chip("trn2")
    assert traffic(load_multiply_add()).peak_gbps == chip.cost.dma.cap_bytes_per_ns_core
    two = traffic(synthetic_timeline(10, 0, cores=2)).peak_gbps
    assert two == min(2 * chip.cost.dma.cap_bytes_per_ns_core, chip.cost.hbm.bytes_per_ns_stack)


def test_descriptors_below_the_payload_are_counted_by_their_bytes():
    small = load_chip("trn2").cost.dma.payload_min_bytes
    found = traffic(moved({"nbytes": small, "descriptors": 4}, {"nbytes": 3 * small, "descriptors": 3}))
    assert found.small_share == pytest.approx(0.25)
    assert (found.smallest_descriptor_bytes, found.small_below_bytes) == (small // 4, small)


def test_the_same_bytes_loaded_again_are_a_reload():
    found = traffic(moved({"low": 0}, {"low": 0}, {"low": 0}, {"low": 1 << 18}))
    (reload,) = found.reloads
    assert (reload.loaded_bytes, reload.distinct_bytes, reload.factor) == (4 << 18, 2 << 18, 2.0)
    assert reload.tensor == "a [1024, 1024] float32"
    assert reload.place.line == 10


def test_column_tiles_share_a_span_but_no_byte():
    columns = [{"nbytes": 1 << 18, "low": 4 * 256 * n, "high": 4 * 256 * n + (1 << 22) - 3 * 1024} for n in range(4)]
    assert traffic(moved(*columns)).reloads == ()


def test_regions_that_overlap_otherwise_count_at_most_the_tensor():
    made = moved(*({"nbytes": 3 << 20, "low": n << 10} for n in range(2)))
    (reload,) = traffic(made).reloads
    assert (reload.loaded_bytes, reload.distinct_bytes) == (6 << 20, 4 << 20)


def test_stored_and_loaded_again_is_a_spill():
    made = moved({"tensor": 1, "direction": 1}, {"tensor": 1, "direction": 0}, {"tensor": 0, "direction": 0})
    (spill,) = traffic(made).spills
    assert (spill.tensor, spill.stored_bytes, spill.loaded_bytes) == ("out [1024, 1024] float32", 1 << 18, 1 << 18)
    assert spill.place.line == 10


def test_an_argument_that_is_read_and_then_overwritten_is_no_spill():
    assert traffic(moved({"tensor": 1, "direction": 0}, {"tensor": 1, "direction": 1})).spills == ()


def test_what_once_is_enough_for():
    made = moved(
        {"low": 0}, {"low": 0}, {"direction": 1, "tensor": 1}, {"direction": 2, "nbytes": 100}, {"direction": 3}
    )
    assert once_bytes(made) == (1 << 18) + (1 << 18) + 2 * 100


def test_transfers_without_a_tensor_are_no_reload():
    made = moved({"tensor": -1}, {"tensor": -1}, tensors=(tensor("a", 8),))
    assert traffic(made).reloads == () and traffic(made).nbytes == 2 << 18


def test_queues_count_time_in_which_bytes_move_once():
    made = timeline([Row("sync", 0, 5), Row("sync", 5, 10)], [Move(0, 100, 300), Move(1, 200, 400)], 1000)
    (queue,) = traffic(made).queues
    assert (queue.busy_us, queue.utilisation) == pytest.approx((0.3, 0.3))
    assert np.isclose(traffic(made).active_us, 0.3)
