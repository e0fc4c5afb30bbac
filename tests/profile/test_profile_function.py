"""`opentrn.profile` and `profiling`: kernels of the real surface, timed."""

import numpy as np
import pytest
from tests.profile.small import load_multiply_add

import opentrn
import opentrn.nki as nki
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn import ShapeDtype
from opentrn.errors import CapacityError, LaunchError, MachineError, RuleError
from opentrn.nki.kernel import WATCHERS
from opentrn.nki.profile import profiling
from opentrn.profile.report import profile_report
from opentrn.profile.what_if import what_if


@nki.jit
def product(lhs_t, rhs, width=512):
    """(K, M), (K, N) -> (M, N), tile by tile."""
    depth, rows, columns = lhs_t.shape[0], lhs_t.shape[1], rhs.shape[1]
    out = nl.ndarray((rows, columns), dtype=nl.float32, buffer=nl.shared_hbm)
    for n in range(0, columns, width):
        total = nl.ndarray((rows, width), dtype=nl.float32, buffer=nl.psum)
        for k in range(0, depth, 128):
            left = nl.ndarray((128, rows), dtype=lhs_t.dtype, buffer=nl.sbuf)
            right = nl.ndarray((128, width), dtype=rhs.dtype, buffer=nl.sbuf)
            nisa.dma_copy(dst=left, src=lhs_t[k : k + 128])
            nisa.dma_copy(dst=right, src=rhs[k : k + 128, n : n + width])
            nisa.nc_matmul(dst=total, stationary=left, moving=right)
        tile = nl.ndarray((rows, width), dtype=nl.float32, buffer=nl.sbuf)
        nisa.tensor_copy(dst=tile, src=total)
        nisa.dma_copy(dst=out[:, n : n + width], src=tile)
    return out


@nki.jit
def halves(x):
    """Each of two cores doubles its half of the columns."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    width = x.shape[1] // nl.num_programs(0)
    start = nl.program_id(0) * width
    tile = nl.ndarray((x.shape[0], width), dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x[:, start : start + width])
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=2.0)
    nisa.dma_copy(dst=out[:, start : start + width], src=tile)
    return out


def inputs(dtype=np.float32):
    rng = np.random.default_rng(0)
    return rng.standard_normal((256, 128)).astype(dtype), rng.standard_normal((256, 1024)).astype(dtype)


SHAPES = ShapeDtype((256, 128), "float32"), ShapeDtype((256, 1024), "float32")


def test_values_and_time_together():
    a, b = inputs()
    report = opentrn.profile(product, target="trn2")(a, b)
    assert np.allclose(report.results, a.T @ b, rtol=1e-4, atol=1e-4)
    assert report.kernel == "product" and report.target == "trn2" and report.cores == 1
    low, high = report.latency_band_us
    assert 0 < low < report.latency_us < high
    assert report.instruction_count == report.launch.instruction_count == 2 * (2 * 3 + 2)
    assert report.dma.hbm_read_bytes == 2 * a.nbytes + b.nbytes
    assert report.dma.hbm_written_bytes == 128 * 1024 * 4
    assert report.roofline.flops == 2 * 256 * 128 * 1024
    assert {line.place.function for line in report.lines} == {"product"}


def test_time_alone_touches_no_data_and_is_the_same():
    timing = opentrn.profile(product, mode="timing", target="trn2")
    alone, beside = timing(*SHAPES), timing(*inputs())
    assert alone.results == ShapeDtype((128, 1024), "float32")
    assert alone.latency_us == beside.latency_us == opentrn.profile(product, target="trn2")(*inputs()).latency_us


def test_tens_of_gigabytes_need_no_memory():
    report = opentrn.profile(halves, mode="timing", target="trn2")(ShapeDtype((128, 40_000), "float32"))
    assert report.dma.hbm_read_bytes == 128 * 40_000 * 4
    huge = ShapeDtype((1 << 20, 1 << 15), "float32")  # 128 GB, of which the kernel reads a corner

    def corner(x):
        return product.func(x[:128, :128], x[:128, :512])

    assert opentrn.profile(corner, mode="timing", target="trn2")(huge).latency_us > 0


def test_two_cores_are_quicker_than_one_and_reported_together():
    x = np.ones((128, 8192), np.float32)
    one, two = (opentrn.profile(halves[lnc], target="trn2")(x) for lnc in (1, 2))
    assert (two.results == 2).all() and two.cores == 2 and len(two.per_core) == 2
    assert two.latency_us < one.latency_us
    vector = two.engines["vector"]
    assert vector.busy_us + vector.wait_us + vector.idle_us == pytest.approx(2 * two.latency_us)


@pytest.mark.parametrize("target", ["trn1", "trn3"])
def test_another_chip(target):
    report = opentrn.profile(product, mode="timing", target=target)(*SHAPES)
    assert report.target == target
    low, high = report.latency_band_us
    assert low < report.latency_us < high


def test_what_is_no_mode():
    with pytest.raises(LaunchError, match=r"opentrn\.profile"):
        opentrn.profile(product, mode="time")


def test_the_errors_of_the_kernel_pass_through():
    with pytest.raises(RuleError):
        opentrn.profile(product, mode="timing", target="trn2")(*SHAPES, width=1024)


# --------------------------------------------------------------------- launches of a script
def test_launches_are_seen_once_for_each_signature_and_counted():
    a, b = inputs()
    with profiling() as launches:
        for _ in range(3):
            product(a, b)
        product(a, b, width=256)
        halves[2](b[:128].copy())
    assert [(launch.kernel.__name__, launch.count) for launch in launches] == [
        ("product", 3),
        ("product", 1),
        ("halves", 1),
    ]
    assert launches[1].report.instruction_count > launches[0].report.instruction_count
    assert WATCHERS == []


def test_one_kernel_alone_and_the_names_of_the_others():
    a, b = inputs()
    with profiling("halves") as launches:
        assert np.allclose(product(a, b), a.T @ b, rtol=1e-4, atol=1e-4)
    assert launches == [] and list(launches.passed) == ["product"]


def test_an_error_in_the_block_ends_the_watch():
    with pytest.raises(RuleError), profiling():
        product(*inputs(), width=1024)
    assert WATCHERS == []


def test_a_launch_again_with_other_arguments():
    with profiling() as launches:
        product(*inputs())
    again = launches[0].again(width=128)
    assert again.instruction_count > launches[0].report.instruction_count and again.target == "trn2"
    assert launches[0].again().latency_us == launches[0].report.latency_us


# --------------------------------------------------------------------- what if
@pytest.fixture(scope="module")
def timed():
    return opentrn.profile(product, mode="timing", target="trn2")(*SHAPES)


def test_the_same_machine_takes_the_same_time(timed):
    assert what_if(timed, {"dma": "1x", "sbuf": "1x", "throttle": "0.5"}).latency_us == timed.latency_us


@pytest.mark.parametrize(
    "changes",
    [
        {"dma": "4x", "hbm": "4x"},
        {"dma_latency": "0.1x"},
        {"throttle": "off"},
        {"semaphore": 0},
        {"kernel_fixed": "0.1x"},
    ],
)
def test_a_better_machine_is_no_slower(timed, changes):
    report = what_if(timed, changes)
    assert report.latency_us < timed.latency_us
    assert set(report.changes) and "what if" in str(report)


def test_a_worse_machine_is_slower(timed):
    assert what_if(timed, {"tensor_clock": "0.1x"}).latency_us > timed.latency_us
    assert what_if(timed, {"dma": "0.05x"}).latency_us > timed.latency_us


def test_one_change_after_another(timed):
    both = what_if(what_if(timed, {"dma": "2x"}), {"throttle": "off"})
    assert both.latency_us == what_if(timed, {"dma": "2x", "throttle": "off"}).latency_us


def test_tensors_that_do_not_fit_any_more(timed):
    with pytest.raises(CapacityError):
        what_if(timed, {"sbuf": "0.001x"})


def test_a_change_that_cannot_be(timed):
    with pytest.raises(MachineError):
        what_if(timed, {"dma": "-1x"})


def test_a_report_without_its_program():
    with pytest.raises(LaunchError, match="recorded program"):
        what_if(profile_report(load_multiply_add()), {"dma": "2x"})
