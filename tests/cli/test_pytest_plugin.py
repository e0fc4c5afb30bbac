"""The pytest plugin, in pytest runs of its own."""

import importlib.metadata

import pytest

pytest_plugins = ["pytester"]

USES_NKI = "import nki\n\ndef test_name():\n    assert nki.__name__ == 'opentrn.nki'\n"
FAILS_INSIDE = """
import sys
import opentrn.install

module = sys.modules["opentrn.install"]

def user_line(monkeypatch):
    monkeypatch.setattr(module, "_found_elsewhere", lambda *_: "somewhere")
    module.uninstall()
    module.install()

def test_fails(monkeypatch):
    user_line(monkeypatch)
"""


@pytest.fixture
def run(pytester):
    """Runs pytest on one test file in a new process. A source tree that is not installed has no entry point."""
    registered = importlib.metadata.entry_points(group="pytest11", name="opentrn")
    named = [] if registered else ["-p", "opentrn.pytest_plugin"]

    def in_subprocess(text, *options):
        pytester.makepyfile(text)
        return pytester.runpytest_subprocess(*named, "-p", "no:cacheprovider", *options)

    return in_subprocess


def test_option_makes_nki_importable(run):
    run(USES_NKI, "--opentrn").assert_outcomes(passed=1)


def test_without_the_option_nothing_changes(run):
    run(USES_NKI).stdout.fnmatch_lines(["*No module named 'nki'*"])


@pytest.fixture
def beside_another_nki(other_nki, monkeypatch):
    for name, value in other_nki.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("beside_another_nki")
def test_another_nki_is_a_usage_error(run):
    result = run(USES_NKI, "--opentrn")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*another nki is there*", "*--opentrn-shadow*"])


@pytest.mark.usefixtures("beside_another_nki")
def test_shadow_takes_the_name(run):
    run(USES_NKI, "--opentrn-shadow").assert_outcomes(passed=1)


def test_our_errors_show_the_users_lines_only(run):
    result = run(FAILS_INSIDE, "--opentrn")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*user_line(monkeypatch)*", "*another nki is there*"])
    result.stdout.no_fnmatch_line("*opentrn/install.py*")


def test_without_the_option_our_errors_are_whole(run):
    run(FAILS_INSIDE).stdout.fnmatch_lines(["*opentrn/install.py*"])


def test_loading_the_plugin_does_not_import_numpy(python):
    done = python("-c", "import sys, opentrn.pytest_plugin; print('numpy' in sys.modules)")
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


TIMES = """
import nki, nki.isa as nisa, nki.language as nl
import numpy as np

@nki.jit
def copy(x):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x)
    nisa.dma_copy(dst=out, src=tile)
    return out

def test_quick(trn_profile):
    report = trn_profile(copy)(np.ones((128, 512), np.float32))
    assert 0 < report.latency_us < 100 and (report.results == 1).all()
"""


def test_trn_profile_times_a_kernel(run):
    run(TIMES, "--opentrn").assert_outcomes(passed=1)


LAUNCHES = """
import nki
import nki.isa as nisa
import nki.language as nl
import numpy as np
import pytest

@nki.jit
def kernel(x, width):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile[:, :width], src=x[:, :width])
    if width < 64:
        nisa.dma_copy(dst=tile[:, 64:], src=x[:, 64:])
    nisa.dma_copy(dst=out, src=tile)
    return out

X = np.ones((128, 128), np.float32)
"""


def test_the_marker_checks_every_launch_of_a_test(run):
    result = run(
        LAUNCHES
        + """
@pytest.mark.opentrn_check
def test_whole():
    assert (kernel(X, 128) == 1).all()

@pytest.mark.opentrn_check(fail_on="error")
def test_part():
    kernel(X, 100)

@pytest.mark.opentrn_check(ignore=["memory.unwritten"])
def test_ignored():
    kernel(X, 100)

@pytest.mark.opentrn_check(severity={"memory": "warning"})
def test_milder():
    kernel(X, 100)

def test_unmarked():
    kernel(X, 100)
""",
        "--opentrn",
        "-W",
        "ignore",
    )
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*test_part*",
            "*.py:9: error: memory.unwritten (in kernel)",
            "*1 error in kernel(x=float32[[]128,128[]], width=100) on trn2*",
        ]
    )


def test_findings_stand_beside_the_failure_of_a_test(run):
    result = run(
        LAUNCHES.replace("dst=out, src=tile", "dst=tile[:, :200], src=x")
        + """
@pytest.mark.opentrn_check
def test_raises():
    kernel(X, 128)
""",
        "--opentrn",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ViewError*", "*Captured opentrn check*", "*error: memory.bounds (in kernel)"])


def test_a_wrong_marker_fails_the_test(run):
    result = run(
        """
import pytest

@pytest.mark.opentrn_check(ignore=["memroy"])
def test_name():
    pass

@pytest.mark.opentrn_check(fail_on="bad")
def test_level():
    pass
"""
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*did you mean memory*", "*fail_on='bad' is none of error, warning, advice*"])


def test_the_fixture_fails_on_findings(run):
    result = run(
        LAUNCHES
        + """
def test_whole(trn_check):
    assert trn_check(kernel)(X, 128) == []

def test_milder(trn_check):
    (found,) = trn_check(kernel, severity={"memory": "advice"})(X, 100)
    assert found.label == "memory.unwritten"

def test_part(trn_check):
    trn_check(kernel, target="trn3")(X, 100)

def test_source(trn_check):
    trn_check(kernel_of_a_set, fail_on="warning")(X)

@nki.jit
def kernel_of_a_set(x):
    chosen = {128}
    return kernel(x, 128) if x.shape[0] in chosen else x

def test_wrong(trn_check):
    trn_check(kernel, only=["memroy"])
""",
        "--opentrn",
    )
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines(
        ["*error: memory.unwritten (in kernel)", "*width=100) on trn3*", "*language.value*", "*did you mean memory*"]
    )
