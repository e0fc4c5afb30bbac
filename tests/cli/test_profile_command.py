"""`opentrn profile`: summaries, files, questions; and what it says when it cannot."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import opentrn as package

EXAMPLES = Path(package.__file__).parents[2] / "examples"

KERNELS = """
import sys
import numpy as np
import nki, nki.language as nl, nki.isa as nisa

def scaled(x, width, factor):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    for start in range(0, x.shape[1], width):
        tile = nl.ndarray((128, width), dtype=x.dtype, buffer=nl.sbuf)
        nisa.dma_copy(dst=tile, src=x[:, start : start + width])
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=factor)
        nisa.dma_copy(dst=out[:, start : start + width], src=tile)
    return out

@nki.jit
def double(x, width=512):
    assert width <= 512 or width == 1024, "width"
    return scaled(x, width, 2.0)

@nki.jit
def triple(x, width=256):
    return scaled(x, width, 3.0)

print("hello from the script", *sys.argv[1:])
x = np.ones((128, 2048), np.float32)
assert (double(x) == 2).all()
double(x + 1)
double(x[:, :1024].copy())
triple(x)
"""


@pytest.fixture
def kernels(script):
    return script(KERNELS, "kernels.py")


def test_each_distinct_launch_is_summed_up_once(opentrn, kernels):
    done = opentrn("profile", kernels)
    assert done.returncode == 0, done.stderr
    heads = [line for line in done.stdout.splitlines() if " on trn2, 1 core: " in line]
    assert [head.split()[0] for head in heads].count("double") == 2 and len(heads) == 3
    assert done.stdout.count("(launched 2 times with these shapes)") == 1
    assert "kernels.py:10 in scaled" in done.stdout and "hello from the script" in done.stdout
    assert "bound" in done.stdout and "to try" in done.stdout


def test_one_kernel_and_the_scripts_own_arguments(opentrn, kernels):
    done = opentrn("profile", kernels, "--kernel", "triple", "--brief", "--", "one", "--two")
    assert done.returncode == 0, done.stderr
    assert "triple on trn2" in done.stdout and "double on" not in done.stdout
    assert "hello from the script one --two" in done.stdout
    assert len(done.stdout.splitlines()) < 25


def test_another_chip(opentrn, kernels):
    done = opentrn("profile", kernels, "--kernel", "triple", "--target", "trn1")
    assert (done.returncode, "triple on trn1" in done.stdout) == (0, True), done.stderr


def test_json_alone_on_the_terminal(opentrn, kernels):
    done = opentrn("profile", kernels, "--kernel", "double", "--json")
    data = json.loads(done.stdout)
    assert data["kernel"] == "double" and data["latency_us"] > 0 and data["engines"]["vector"]["busy_us"] > 0
    assert "hello" in done.stderr


def test_files_are_written_whole(opentrn, kernels, tmp_path):
    done = opentrn(
        "profile", kernels, "--json", "r.json", "--html", "r.html", "--perfetto", "r.pftrace", "--columns", "r.npz"
    )
    assert done.returncode == 0, done.stderr
    for name in ("r.json", "r.html", "r.pftrace", "r.npz"):
        assert (tmp_path / name).stat().st_size > 500 and f"wrote {name}" in done.stderr
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert json.loads((tmp_path / "r.json").read_text())["kernel"] == "triple"


def test_what_if(opentrn, kernels):
    done = opentrn("profile", kernels, "--kernel", "triple", "--what-if", "dma_latency=0.5x,sbuf=32MiB")
    assert done.returncode == 0, done.stderr
    assert "what if dma_latency=0.5x, sbuf=32MiB" in done.stdout
    assert "B is " in done.stdout and "A: triple on trn2" in done.stdout


def test_reorder(opentrn, kernels, tmp_path):
    def latency(*options):
        done = opentrn("profile", kernels, "--kernel", "triple", "--json", "r.json", *options)
        assert done.returncode == 0, done.stderr
        report = json.loads((tmp_path / "r.json").read_text())
        assert ("reordered: stores may be" in done.stdout) == (report["reorder"] > 0) == bool(options)
        return report["latency_us"]

    assert latency("--reorder", "8") < latency()


def test_compare_two_kernels_of_a_script(opentrn, kernels):
    done = opentrn("profile", "--compare", f"{kernels}:double", f"{kernels}:triple")
    assert done.returncode == 0, done.stderr
    assert "A: double on trn2\nB: triple on trn2" in done.stdout and "A is " in done.stdout


def test_compare_a_saved_report_with_a_script(opentrn, kernels):
    assert opentrn("profile", kernels, "--kernel", "double", "--json", "old.json").returncode == 0
    done = opentrn("profile", "--compare", "old.json", f"{kernels}:triple", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["names"] == ["double on trn2", "triple on trn2"]


def test_sweep(opentrn, kernels, tmp_path):
    done = opentrn("profile", kernels, "--kernel", "triple", "--sweep", "width=128,256,512", "--json", "s.json")
    assert done.returncode == 0, done.stderr
    assert "<- quickest" in done.stdout and "3/3  width=512" in done.stderr
    points = json.loads((tmp_path / "s.json").read_text())["points"]
    assert [point["arguments"]["width"] for point in points] == [128, 256, 512]


def test_sweep_with_a_plot(opentrn, kernels, tmp_path):
    pytest.importorskip("matplotlib")
    done = opentrn("profile", kernels, "--kernel", "triple", "--sweep", "width=128,256", "--plot", "s.svg")
    assert done.returncode == 0, done.stderr
    assert "<svg" in (tmp_path / "s.svg").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "one of SCRIPT and --compare"),
        (["nowhere.py"], "no such file: nowhere.py"),
        (["--compare", "one.json", "two.json"], "no such file: one.json"),
        (["{script}", "--reorder", "-1"], "0 or more"),
        (["{script}", "--what-if", "dmaa=2x"], "near names: dma"),
        (["{script}", "--what-if", "dma=-2x"], "a number above 0"),
        (["{script}", "--what-if", "dma"], "NAME=VALUE"),
        (["{script}", "--sweep", "width"], "NAME=VALUE,VALUE"),
        (["{script}", "--plot", "p.svg"], "--plot goes with --sweep"),
        (["{script}", "--html", "no/folder/r.html"], "no such folder: no/folder"),
        (["{script}", "--json", "no/folder/r.json"], "no such folder: no/folder"),
        (["{script}", "--columns", "r.csv"], ".npz or .parquet"),
        (["{script}", "--target", "trn9"], "trn9"),
        (["{script}", "--htm", "r.html", "--perfeto", "x"], "--perfeto"),
    ],
)
def test_a_wrong_command_line_is_found_before_the_script_runs(opentrn, kernels, tmp_path, arguments, says):
    done = opentrn("profile", *(text.format(script=kernels) for text in arguments))
    assert done.returncode == 2
    assert says in done.stderr and "hello" not in done.stdout and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["scripts"]


def test_no_such_kernel(opentrn, kernels):
    done = opentrn("profile", kernels, "--kernel", "quadruple", "--html", "r.html")
    assert done.returncode == 1
    assert "launched no kernel called quadruple" in done.stderr and "double, triple" in done.stderr


def test_no_kernel_at_all(opentrn, script):
    done = opentrn("profile", script("print(1)"))
    assert done.returncode == 1 and "launched no kernel" in done.stderr


def test_a_script_that_fails_shows_its_line_and_writes_nothing(opentrn, script, tmp_path):
    path = script(KERNELS + "\nraise SystemError('mine')")
    done = opentrn("profile", path, "--json", "r.json")
    assert done.returncode == 1
    assert "SystemError: mine" in done.stderr and str(path) in done.stderr and not (tmp_path / "r.json").exists()


@pytest.mark.parametrize(("leave", "code"), [("sys.exit(3)", 3), ("sys.exit(0)", 0)])
def test_the_exit_of_the_script(opentrn, script, leave, code):
    done = opentrn("profile", script(KERNELS + f"\n{leave}"))
    assert done.returncode == code
    assert ("double on trn2" in done.stdout) == (code == 0)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_interrupt_exits_130_and_leaves_no_file(script, tmp_path):
    path = script(KERNELS + "\nimport time\nprint('ready', flush=True)\ntime.sleep(60)")
    command = [sys.executable, "-m", "opentrn", "profile", str(path), "--json", str(tmp_path / "r.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("hello")
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "opentrn: interrupted\n")
    assert not (tmp_path / "r.json").exists()


@pytest.mark.skipif(
    not EXAMPLES.is_dir(), reason="opentrn is installed without its checkout, whose example the demo runs"
)
def test_the_demo_says_how_long_the_chip_takes(opentrn):
    done = opentrn("demo", "--heads", "1", "--sequence", "256")
    assert done.returncode == 0, done.stderr
    assert "on the chip it takes" in done.stdout and "bound" in done.stdout and "tensor " in done.stdout
    data = json.loads(opentrn("demo", "--heads", "1", "--sequence", "256", "--json").stdout)
    low, high = data["latency_band_us"]
    assert low < data["latency_us"] < high and set(data["utilisation"]) >= {"tensor", "vector"}
