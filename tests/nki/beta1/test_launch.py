"""Kernels, grids, measurements: jit and its like, nl.program_id, nl.all_reduce, nki.benchmark, nki.profile."""

import json

import ml_dtypes
import numpy as np
import pytest
from tests.nki.beta1.kit import normal

import opentrn
from opentrn.errors import LaunchError, UnsupportedError
from opentrn.nki import beta1 as nki
from opentrn.nki.beta1 import language as nl
from opentrn.nki.beta1 import typing as nt


@nki.jit
def add(a: nt.tensor, b: nt.tensor):
    out = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.shared_hbm)
    i_p = nl.program_id(0) * 32 + nl.arange(32)[:, None]
    i_f = nl.program_id(1) * 64 + nl.arange(64)[None, :]
    nl.store(out[i_p, i_f], nl.load(a[i_p, i_f]) + nl.load(b[i_p, i_f]))
    return out


A, B = normal(128, 128), normal(128, 128, seed=5)


@pytest.mark.parametrize("grid", [(4, 2), (nl.spmd_dim(nl.nc(2), 2), 2), (nl.nc(2) * 2, 2), (2 * nl.nc(2), 2)])
def test_a_grid_runs_every_program(grid):
    assert np.array_equal(add[grid](A, B), A + B)


def test_programs_are_spread_over_cores_by_nc():
    assert nl.spmd_dim(nl.nc(2), 2).core_of(1) == 0 and nl.spmd_dim(2, nl.nc(2)).core_of(1) == 1
    assert opentrn.run(add[nl.nc(2) * 2, 2])(A, B).lnc == 2


def test_grid_questions():
    seen = []

    @nki.jit
    def ask(a):
        seen.append((nl.program_ndim(), nl.num_programs(), nl.num_programs(1), nl.program_id(1)))
        nl.store(a, nl.zeros((4, 4), dtype=nl.float32))
        return a

    ask[3, 2](np.zeros((4, 4), np.float32))
    assert seen[1] == (2, 6, 2, 1) and len(seen) == 6
    with pytest.raises(LaunchError, match="axis"):
        nki.jit(lambda a: nl.program_id(2))[3, 2](np.zeros((4, 4), np.float32))
    with pytest.raises(LaunchError, match="grid"):
        add["x"]


def test_all_reduce_adds_over_an_axis_of_the_grid():
    @nki.jit
    def total(a):
        out = nl.ndarray((2, 16, 8), dtype=a.dtype, buffer=nl.shared_hbm)
        tile = nl.load(a[nl.program_id(0), nl.program_id(1)])
        summed = nl.all_reduce(tile, op=np.add, program_axes=1)
        nl.store(out[nl.program_id(0)], summed)
        return out

    a = normal(2, 3, 16, 8)
    assert np.allclose(total[2, 3](a), a.sum(1), atol=1e-5)


def test_an_error_in_one_program_ends_the_others():
    @nki.jit
    def fails(a):
        tile = nl.load(a)
        if nl.program_id(0) == 1:
            raise ValueError("program 1")
        nl.all_reduce(tile, op=np.add, program_axes=0)
        return a

    with pytest.raises(ValueError, match="program 1"):
        fails[2](np.zeros((4, 4), np.float32))


@pytest.mark.parametrize("mode", ["auto", "jax", "torchxla", "baremetal", "simulation", "trace"])
def test_every_mode_runs(mode):
    assert np.array_equal(nki.jit(add, mode=mode)[4, 2](A, B), A + B)


def test_other_ways_to_run():
    assert np.array_equal(nki.simulate_kernel(add[4, 2], A, B), A + B)
    assert np.array_equal(nki.baremetal(save_neff_name="file.neff")(add)[4, 2](A, B), A + B)

    @nki.trace
    def into(a, out):
        nl.store(out, nl.load(a) * 2.0)

    out = np.zeros((128, 128), np.float32)
    nki.simulate_kernel(into, A, out)
    assert np.array_equal(out, 2 * A)
    with pytest.raises(LaunchError, match="mode"):
        nki.jit(add, mode="magic")


def test_a_kernel_inside_a_kernel_is_inlined():
    @nki.jit
    def twice(a, b):
        return add(add(a, b), b)

    small = A[:32, :64].copy()
    assert np.allclose(twice(small, small), 3 * small)


def test_dtypes_arrive_as_they_were_given():
    @nki.jit
    def typed(a, kind, other=None):
        assert kind == nl.bfloat16 and other is np.float32 and a.dtype == np.float32
        out = nl.ndarray(a.shape, dtype=kind, buffer=nl.shared_hbm)
        nl.store(out, nl.load(a, dtype=kind))
        return out

    assert typed(A, nl.bfloat16, other=np.float32).dtype == ml_dtypes.bfloat16


def test_benchmark_reports_the_simulated_latency(capsys):
    measured = nki.benchmark(warmup=1, iters=2)(add)[4, 2]
    assert np.array_equal(measured(A, B), A + B)
    latency = measured.benchmark_result.nc_latency
    predicted = opentrn.profile(add[4, 2], mode="timing")(A, B).latency_us
    assert latency.simulated and latency.microseconds == pytest.approx(predicted)
    assert latency.get_latency_percentile(50) == latency.get_latency_percentile(99) == round(predicted)
    assert "simulated" in capsys.readouterr().out
    with pytest.raises(LaunchError, match="percentile"):
        latency.get_latency_percentile(42)
    assert nki.jit(add, mode="benchmark")[4, 2](A, B).shape == A.shape


def test_benchmark_takes_shapes_for_arrays(tmp_path):  # prof-kernel-benchmark.py, SDK 2.26
    shapes = nt.tensor[[128, 128], nl.bfloat16], nt.tensor[(128, 128), np.float32]
    measured = nki.benchmark(add)[4, 2]
    assert measured(*shapes) == opentrn.ShapeDtype((128, 128), "bfloat16")
    assert measured.benchmark_result.nc_latency.microseconds > 0
    nki.profile(working_directory=str(tmp_path), profile_nth=1)(add)[4, 2](*shapes)
    assert (tmp_path / "add.html").exists()
    assert nt.tensor[128, 512] is nt.tensor  # an annotation


def test_profile_writes_a_report_a_trace_and_a_summary(tmp_path):
    profiled = nki.profile(working_directory=str(tmp_path / "out"), profile_nth=1)(add)[4, 2]
    profiled(A, B)
    names = {f.suffix for f in (tmp_path / "out").iterdir()}
    assert names == {".html", ".pftrace", ".json"}
    assert json.loads((tmp_path / "out" / "add.json").read_text())["latency_us"] > 0
    with pytest.raises(LaunchError, match="exists"):
        profiled(A, B)
    with pytest.raises(LaunchError, match="absolute"):
        nki.profile(working_directory="here")(add)


def test_psum_spills_into_sbuf_where_it_overflows():
    @nki.jit
    def many(a):
        out = nl.ndarray((12, 128, 512), dtype=nl.float32, buffer=nl.shared_hbm)
        products = nl.ndarray((12, nl.par_dim(128), 512), dtype=nl.float32, buffer=nl.psum)
        tile = nl.load(a)
        for i in nl.affine_range(12):
            products[i] = nl.matmul(tile[:, 0:128], tile, transpose_x=True)
        for i in nl.affine_range(12):
            nl.store(out[i], products[i])
        return out

    a = normal(128, 512)
    with pytest.warns(UserWarning, match="psum is over capacity"):
        got = many(a)
    assert np.allclose(got, np.repeat((a[:, :128].T @ a)[None], 12, 0), atol=1e-3)


def test_what_does_not_fit_in_sbuf_is_said_and_the_kernel_runs_as_it_does_with_spills():
    @nki.jit
    def many(a):
        out = nl.ndarray((20, 128, 4096), dtype=nl.float32, buffer=nl.shared_hbm)
        tiles = [nl.load(a) for _ in range(20)]
        for i, tile in enumerate(tiles):
            nl.store(out[i], tile)
        return out

    a = normal(128, 4096)
    with pytest.warns(UserWarning, match="sbuf is over capacity.*times are without that traffic"):
        assert (many(a) == a).all()
    with pytest.warns(UserWarning, match="sbuf is over capacity"):
        assert opentrn.profile(many, mode="timing")(a).latency_us > 0
    assert "memory.capacity" in {finding.label for finding in opentrn.check(many)(a)}


def test_aws_kernels_are_named_as_absent():
    from opentrn.nki.beta1.kernels import attention

    with pytest.raises(UnsupportedError, match="nki-samples"):
        attention.flash_fwd()


def test_device_print_shows_values(capsys):
    @nki.jit
    def shows(a):
        tile = nl.load(a)
        nl.device_print("tile:", tile + 1.0)
        nl.store(a, tile)
        return a

    shows(np.ones((2, 2), np.float32))
    assert "tile: [[2. 2.]" in capsys.readouterr().out
