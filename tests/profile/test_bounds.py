"""Each lower bound is one: no run is quicker; and each says what it should of a program written by hand."""

from dataclasses import replace

import pytest
from tests.profile.small import MATMUL, Move, Row, load_multiply_add, timeline
from tests.timing.synthetic import synthetic_timeline

from opentrn.errors import MachineError
from opentrn.machine.chip import load_chip
from opentrn.profile.bounds import bounds, overheads, roofline


@pytest.mark.parametrize("cores", [1, 2])
def test_no_bound_is_above_the_time_that_it_bounds(cores):
    found = bounds(synthetic_timeline(3000, 5, cores))
    assert list(found) == ["compute", "memory", "traffic", "engine", "dependency", "actual"]
    assert all(0 < bound.us <= found["actual"].us for bound in found.values())
    assert found["memory"].us <= found["traffic"].us
    assert found["actual"].share == 1


def test_a_small_program_in_figures():
    made, chip = load_multiply_add(), load_chip("trn2")
    found = bounds(made)
    assert found["compute"].us == pytest.approx(2 * 128 * 128 * 512 / chip.engines.tensor.tflops_bf16 / 1e6)
    assert found["traffic"].us == pytest.approx(2 * (1 << 18) / chip.cost.dma.cap_bytes_per_ns_core / 1e3)
    assert found["engine"].us == pytest.approx(0.485) and "vector" in found["engine"].text
    # prologue, load, product, addition, store (each at its quickest: the load is as quick as the store), epilogue
    assert found["dependency"].us == pytest.approx((100 + 2100 + 385 + 585 + 2100 + 100) / 1e3)


@pytest.mark.parametrize(
    ("dtype", "chip", "figure"),
    [("bfloat16", "trn2", "tflops_bf16"), ("float32", "trn2", "tflops_fp32"), ("float8_e4m3", "trn2", "tflops_fp8"),
     ("float8_e4m3", "trn1", "tflops_bf16"), ("float8_e4m3fn_x4", "trn3", "tflops_mx"), ("float16", "trn3", "tflops_bf16")],
)  # fmt: skip
def test_the_peak_is_that_of_the_dtype(dtype, chip, figure):
    op = replace(MATMUL, operands=MATMUL.operands.replace("bfloat16", dtype))
    machine = load_chip(chip)
    made = timeline([Row("tensor", 0, 1000, op=op)], chip=machine)
    assert roofline(made).peak_tflops == pytest.approx(machine.engines.tensor[figure])


def test_an_instruction_whose_operands_are_not_named_is_an_error():
    with pytest.raises(MachineError, match="no peak rate"):
        bounds(timeline([Row("tensor", 0, 10, op=replace(MATMUL, operands=""))]))


def test_the_longest_chain_has_each_instruction_at_its_quickest():
    rows = [
        Row("vector", 0, 100, 120),
        Row(
            "vector", 700, 900, 990, ready=100, cause="bank", blocker=0
        ),  # as quick as the first, if nothing were in the way
        Row("scalar", 1000, 1100, ready=0, cause="semaphore", blocker=1, line=2),
        Row("gpsimd", 0, 150, line=3),
    ]
    found = bounds(timeline(rows, waits=((1, 2),)))
    assert found["dependency"].us == pytest.approx((100 + 120 + 100) / 1e3)


def test_the_roof_is_bandwidth_left_of_the_ridge_and_the_peak_right_of_it():
    chip = load_chip("trn2")
    rate = chip.cost.dma.cap_bytes_per_ns_core
    row = Row("tensor", 0, 1000)
    left = roofline(timeline([row], [Move(0, 0, 900, nbytes=1 << 22)]))
    right = roofline(timeline([row], [Move(0, 0, 900, nbytes=1 << 10)]))
    assert left.attainable_tflops == pytest.approx(left.intensity * rate / 1e3)
    assert right.attainable_tflops == chip.engines.tensor.tflops_bf16
    assert roofline(timeline([row])).intensity is None
    assert left.achieved_tflops == pytest.approx(2 * 128 * 128 * 512 / 1000 / 1e3)


def test_throttling_counts_only_where_tensor_works():
    low = load_chip("trn2").cost.tensor.startup_rate
    rows = [Row("tensor", 0, 100), Row("tensor", 200, 300, ready=100, cause="dma")]
    found = overheads(timeline(rows, half=((50, 250),), total=400))
    assert found["throttle"] == pytest.approx((50 + 50) * (1 - low) / 1e3)
    assert found["epilogue"] == pytest.approx(0.1)


def test_overheads_are_the_waits_of_that_cause():
    rows = [Row("scalar", 150, 200, ready=20, cause="table"), Row("tensor", 40, 50, ready=10, cause="weights")]
    found = overheads(timeline(rows))
    assert found == pytest.approx({"table": 0.13, "weights": 0.03})
