"""`opentrn run`: the script sees what it sees under python, and errors are the user's."""

import signal
import subprocess
import sys

import pytest

FAILS_INSIDE = """
import sys, types
from opentrn.install import install, uninstall

def kernel():
    install()

uninstall()
sys.modules["nki"] = types.ModuleType("nki")
kernel()
"""


def test_nki_is_opentrn(opentrn, script):
    path = script("import nki, nki.language as nl, opentrn.nki\nprint(nki is opentrn.nki, nl.__name__)")
    done = opentrn("run", path)
    assert (done.returncode, done.stdout) == (0, "True opentrn.nki.language\n"), done.stderr


def test_script_is_main_with_its_arguments_and_its_folder(opentrn, script):
    script("VALUE = 7", "neighbour.py")
    path = script("import sys, neighbour\nprint(__name__, __file__ == sys.argv[0], sys.argv[1:], neighbour.VALUE)")
    done = opentrn("run", path, "one", "--shadow", "--", "-h")
    assert (done.returncode, done.stdout) == (0, "__main__ True ['one', '--shadow', '--', '-h'] 7\n"), done.stderr


def test_target_is_what_the_script_sees(opentrn, script):
    path = script("import os; print(os.environ['NEURON_PLATFORM_TARGET_OVERRIDE'])")
    assert opentrn("run", "--target", "trn3", path).stdout == "trn3\n"


def test_a_target_that_does_not_exist_is_a_usage_error(opentrn, script):
    done = opentrn("run", "--target", "trn9", script(""))
    assert done.returncode == 2
    assert "trn9" in done.stderr
    assert "trn2" in done.stderr


def test_script_not_found_is_one_line(opentrn):
    done = opentrn("run", "nowhere.py")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "opentrn run: no such script: nowhere.py\n")


def test_no_script_is_a_usage_error(opentrn):
    done = opentrn("run")
    assert done.returncode == 2
    assert "usage: opentrn run" in done.stderr


@pytest.mark.parametrize(("leave", "code"), [("sys.exit(3)", 3), ("sys.exit()", 0), ("sys.exit('bye')", 1)])
def test_exit_of_the_script_passes_through(opentrn, script, leave, code):
    assert opentrn("run", script(f"import sys\n{leave}")).returncode == code


def test_our_error_shows_the_users_lines_only(opentrn, script):
    path = script(FAILS_INSIDE)
    done = opentrn("run", path)
    assert done.returncode == 1
    assert done.stderr.count('File "') == done.stderr.count(f'File "{path}"') == 2
    assert "in kernel" in done.stderr
    assert "InstallError: another nki is there" in done.stderr
    assert "hint:" in done.stderr


def test_our_error_behind_another_is_cut_too(opentrn, script):
    path = script(FAILS_INSIDE.replace("\nkernel()", "\ntry:\n    kernel()\nexcept ImportError:\n    install()"))
    done = opentrn("run", path)
    assert done.returncode == 1
    assert "During handling of the above exception" in done.stderr
    assert done.stderr.count('File "') == done.stderr.count(f'File "{path}"') == 3


def test_other_errors_keep_their_traceback_from_the_script_on(opentrn, script):
    path = script("import json\njson.loads('{')")
    done = opentrn("run", path)
    assert done.returncode == 1
    first = next(line for line in done.stderr.splitlines() if "File" in line)
    assert str(path) in first
    assert "json/decoder.py" in done.stderr
    assert "runpy" not in done.stderr


def test_syntax_error_names_the_script(opentrn, script):
    path = script("def f(:\n")
    done = opentrn("run", path)
    assert done.returncode == 1
    assert f'File "{path}", line 1' in done.stderr
    assert "runpy" not in done.stderr


def test_another_nki_is_refused_with_a_hint(opentrn, script, other_nki):
    done = opentrn("run", script("import nki"), env=other_nki)
    assert done.returncode == 1
    assert done.stderr.startswith("opentrn: another nki is there")
    assert "opentrn run --shadow" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_module_nki_beside_the_script_is_refused_too(opentrn, script):
    script("", "nki.py")
    assert "another nki is there" in opentrn("run", script("import nki")).stderr


def test_shadow_takes_the_name(opentrn, script, other_nki):
    done = opentrn("run", "--shadow", script("import nki; print(nki.__name__)"), env=other_nki)
    assert (done.returncode, done.stdout) == (0, "opentrn.nki\n"), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_interrupt_exits_130(script):
    path = script("import time\nprint('ready', flush=True)\ntime.sleep(60)")
    command = [sys.executable, "-m", "opentrn", "run", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "opentrn: interrupted\n")
