"""`opentrn.session` and `opentrn run --summary`: what a whole program's kernel calls come to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.bridges.kernels import accumulate, add, by_value, unwritten

import opentrn
from opentrn.bridges.compare import conform, deviation
from opentrn.errors import LaunchError, MachineError
from opentrn.nki.kernel import WATCHERS

SHAPE = (32, 16)


@pytest.fixture
def pair():
    random = np.random.default_rng(0)
    return random.standard_normal(SHAPE, np.float32), random.standard_normal(SHAPE, np.float32)


def test_calls_are_counted_and_timed_once_for_each_signature(pair):
    a, b = pair
    with opentrn.session(target="trn2") as s:
        for _ in range(3):
            add(a, b)
        add[2](a, b, scale=2.0)
        by_value(a)
    assert WATCHERS == [] and s.calls == 5
    assert [(launch.kernel.__name__, launch.kernel.lnc, launch.count) for launch in s.launches] == [
        ("add", 1, 3), ("add", 2, 1), ("by_value", 1, 1)
    ]  # fmt: skip
    alone = opentrn.profile(add, mode="timing", target="trn2")(a, b).latency_us
    assert s.launches[0].report.latency_us == alone
    assert s.latency_us == pytest.approx(sum(each.report.latency_us * each.count for each in s.launches))
    text = str(s)
    assert text.startswith("5 kernel calls on trn2: ") and "add[2]" in text and "float32[32,16]" in text
    data = json.loads(json.dumps(s.to_dict()))
    assert data["calls"] == 5 and data["launches"][0]["calls"] == 3 and data["launches"][0]["latency_us"] == alone


def test_nothing_called():
    with opentrn.session() as s:
        pass
    assert str(s) == "no kernel was called" and s.calls == 0 and s.to_dict()["launches"] == []


def test_the_chip_is_that_of_the_block(pair, monkeypatch):
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn1")
    with opentrn.session(target="trn2") as s:
        add(*pair)
    assert s.launches[0].report.target == "trn2" and os.environ["NEURON_PLATFORM_TARGET_OVERRIDE"] == "trn1"
    with pytest.raises(MachineError), opentrn.session(target="trn9"):
        pass
    with pytest.raises(LaunchError, match="values='wrong'"), opentrn.session(values="wrong"):
        pass


def test_findings_are_those_of_check(pair):
    @opentrn.nki.jit
    def partly(a):
        import opentrn.nki.isa as nisa
        import opentrn.nki.language as nl

        out = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.shared_hbm)
        tile = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile, src=a)
        nisa.dma_copy(dst=out[0:8, :], src=tile[0:8, :])
        return out

    with opentrn.session(target="trn2") as s, pytest.warns(UserWarning, match="never written"):
        partly(pair[0])
    assert s.findings == [opentrn.check(partly, target="trn2")(pair[0])] and s.findings[0]
    assert s.findings[0][0].label in str(s)
    with opentrn.session(findings=False) as s:
        add(*pair)
    assert s.findings == [[]]


def test_an_error_of_a_kernel_passes_through_and_is_not_counted(pair):
    with opentrn.session() as s:
        add(*pair)
        with pytest.raises(opentrn.errors.MemoryFault):
            unwritten(pair[0])
    assert s.calls == 1 and WATCHERS == [] and str(s)


# --------------------------------------------------------------------- references
def test_both_values_and_the_first_call_that_is_off(pair):
    a, b = pair
    seen = []

    def reference(x, y, scale=1.0):
        seen.append(scale)
        return (x + y) * (scale if scale != 3.0 else 2.9)

    with opentrn.session(values="both", references={add: reference}) as s:
        for scale in (1.0, 2.0, 3.0, 3.0):
            assert np.allclose(add(a, b, scale=scale), (a + b) * scale, rtol=1e-5)
    assert seen == [1.0, 2.0, 3.0, 3.0] and [each.call for each in s.deviations] == [1, 2, 3, 4]
    assert s.first_deviation.call == 3 and s.first_deviation.error == pytest.approx(0.1 / 2.9, rel=1e-3)
    assert "the first above 0.01: call 3, add, with 3.45e-02" in str(s)


def test_references_in_place_of_simulation(pair):
    a, b = pair
    with opentrn.session(values="reference", references={add: lambda x, y: (x + y).astype(np.float64)}) as s:
        got, other = add(a, b), add(b, b)
    assert got.dtype == np.float32 and np.array_equal(got, a + b) and s.latency_us > 0
    assert np.array_equal(other, b + b) and s.calls == 2
    wrong = opentrn.session(values="reference", references={add: lambda x, y: x[:3]})
    with pytest.raises(LaunchError, match="reference of kernel add"), wrong:
        add(a, b)


def test_references_of_kernels_that_store(pair):
    a, b = pair

    def reference(total, x):
        total += x
        return total, {"twice": 2 * x, "number": 7}

    given = a.copy()
    with opentrn.session(values="both", references={accumulate: reference}) as s:
        accumulate(given, b)
    assert np.array_equal(given, a + b) and s.deviations[0].error == 0.0


def test_torch_eager_and_compiled_and_jax(pair):
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    a, b = map(torch.from_numpy, pair)
    function = torch.compile(lambda x, y: add(x, y) + 1, backend="aot_eager", fullgraph=True)
    jitted = jax.jit(add)
    with opentrn.session(values="reference", references={add: lambda x, y: x + y}) as s:
        assert torch.equal(function(a, b), a + b + 1)
        assert np.array_equal(jitted(*pair), pair[0] + pair[1])
        add(a, b)
    assert s.calls == 3


def test_deviation():
    one = np.ones(3)
    assert deviation([one, one * 2], [one, one * 2.2]) == pytest.approx(0.2 / 2.2)
    assert deviation(np.array([np.nan, 1]), np.array([1.0, 1])) == float("inf")
    assert deviation(np.array([np.nan, 1]), np.array([np.nan, 1])) == 0.0
    assert deviation(np.zeros(2), np.zeros(2)) == 0.0 and deviation(one, one[:2]) == float("inf")
    with pytest.raises(LaunchError):
        conform((one,), (opentrn.ShapeDtype((3,), "float32"),) * 2, "k")


# --------------------------------------------------------------------- the page and the command
def test_the_page_has_every_timeline_and_asks_for_nothing(pair, tmp_path):
    with opentrn.session(target="trn2") as s:
        add(*pair)
        accumulate(*pair)
    s.write_html(tmp_path / "session.html")
    page = (tmp_path / "session.html").read_text()
    assert page.count("<iframe") == 2 and "http" not in page.replace("http-equiv", "").partition("<iframe")[0]
    assert [path.name for path in tmp_path.iterdir()] == ["session.html"]


SCRIPT = """
import numpy as np, nki, nki.language as nl

@nki.jit
def double(a):
    out = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.shared_hbm)
    tile = nl.load(a)
    nl.store(out, value=nl.add(tile, tile))
    return out

x = np.ones((8, 4), np.float32)
print(double(x).sum(), double(x).sum())
"""


def run(*arguments, **variables):
    words = [sys.executable, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, env=os.environ | variables)


def test_run_with_a_summary(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = run("-m", "opentrn", "run", "--summary", "--target", "trn2", "--html", tmp_path / "page.html", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("64.0 64.0\n\n2 kernel calls on trn2: ") and "double" in done.stdout
    assert (tmp_path / "page.html").read_text().count("<iframe") == 1
    done = run("-m", "opentrn", "run", "--json", script)
    assert json.loads(done.stdout)["calls"] == 2 and done.stderr == "64.0 64.0\n"
    script.write_text(SCRIPT + "raise SystemExit(3)")
    done = run("-m", "opentrn", "run", "--summary", script)
    assert done.returncode == 3 and "2 kernel calls" in done.stdout


def test_nki_simulator_is_enough(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    if not any(Path(folder, "opentrn_simulator.pth").is_file() for folder in sys.path):
        pytest.skip("opentrn is not installed from a wheel here")
    done = run(script, NKI_SIMULATOR="1")
    assert (done.returncode, done.stdout) == (0, "64.0 64.0\n"), done.stderr
    assert done.stderr == "opentrn: NKI_SIMULATOR=1, kernels run on a simulated chip; no device is used\n"
    assert "No module named 'nki'" in run(script).stderr
