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
    monkeypatch.setattr(module, "_found_elsewhere", lambda: "somewhere")
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
