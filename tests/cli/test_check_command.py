"""`opentrn check`: kernels of a file, launches of a script, reports, exit codes."""

import json

import pytest

KERNELS = """
import nki
import nki.isa as nisa
import nki.language as nl


@nki.jit
def good(x):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=x)
    return out


@nki.jit
def bad(x, scale):
    print("the kernel speaks")
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.activation(dst=tile, op=nl.exp, data=tile, scale=scale)
    nisa.dma_copy(dst=out, src=tile)
    return out
"""
BOTH = KERNELS + 'CHECK_INPUTS = {"good": "x=float32[128,64]", "bad": "x=bfloat16[128,64] scale=2.0"}\n'
BAD_LINE = KERNELS.splitlines().index("    nisa.activation(dst=tile, op=nl.exp, data=tile, scale=scale)") + 1


def test_every_kernel_with_inputs_is_checked(opentrn, script):
    path = script(BOTH)
    done = opentrn("check", path)
    assert done.returncode == 1, done.stderr
    assert f"scripts/script.py:{BAD_LINE}: error: memory.uninitialised (in bad)\n" in done.stdout
    assert "    | nisa.activation(dst=tile, op=nl.exp, data=tile, scale=scale)\n" in done.stdout
    assert "checked: bad(x=bfloat16[128,64], scale=2.0) on trn2\n" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 error in 2 runs on trn2 (")


def test_one_kernel_by_name_as_json(opentrn, script):
    done = opentrn("check", f"{script(BOTH)}::good", "--format", "json", "--target", "trn3")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["checked"] == [{"kernel": "good", "arguments": "x=float32[128,64]", "target": "trn3", "lnc": 1}]
    assert report["findings"] == [] and report["counts"] == {"error": 0, "warning": 0, "advice": 0}


def test_inputs_from_the_command_line_run_the_kernels_they_fit(opentrn, script):
    done = opentrn("check", script(KERNELS), "--inputs", "x=float32[128,64]", "--lnc", "1")
    assert done.returncode == 0, done.stderr
    assert "not run: bad: no inputs (--inputs, or CHECK_INPUTS in the file)\n" in done.stdout
    assert "no findings in good(x=float32[128,64]) on trn2" in done.stdout


def test_inputs_from_a_function(opentrn, script):
    script(
        "import numpy as np\n\ndef made():\n    return {'x': np.ones((128, 8), np.float32), 'scale': 1.0}\n", "made.py"
    )
    done = opentrn("check", f"{script(KERNELS)}::bad", "--inputs", "made:made", "--format", "json")
    assert done.returncode == 1, done.stderr
    assert "the kernel speaks" in done.stderr
    (found,) = json.loads(done.stdout)["findings"]
    assert (found["line"], found["severity"], found["check"]) == (BAD_LINE, "error", "memory")


def test_severity_and_the_level_that_fails(opentrn, script):
    path = f"{script(BOTH)}::bad"
    assert opentrn("check", path, "--severity", "memory=warning").returncode == 0
    assert opentrn("check", path, "--severity", "memory=warning", "--fail-on", "warning").returncode == 1
    assert opentrn("check", path, "--ignore", "memory.uninitialised,memory.bounds").returncode == 0


def test_no_kernel_has_inputs(opentrn, script):
    done = opentrn("check", script(KERNELS))
    assert done.returncode == 2
    assert "not run: good" in done.stdout and "not run: bad" in done.stdout


def test_the_report_as_a_file(opentrn, script, tmp_path):
    done = opentrn("check", script(BOTH), "--format", "sarif", "--output", "found.sarif")
    assert done.returncode == 1 and "wrote found.sarif" in done.stderr
    (run,) = json.loads((tmp_path / "found.sarif").read_text())["runs"]
    assert run["results"][0]["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "scripts/script.py", "uriBaseId": "SRCROOT"},
        "region": {"startLine": BAD_LINE},
    }


LAUNCHES = """
import sys
import numpy as np
for size in (64, 64, int(sys.argv[1])):
    print(good(np.ones((128, size), np.float32)).sum())
bad(np.ones((128, 64), np.float32), 1.0)
"""


def test_the_launches_of_a_script(opentrn, script):
    done = opentrn("check", "--script", script(KERNELS + LAUNCHES), "--format", "github", "--", "32")
    assert done.returncode == 1
    assert f"::error file=scripts/script.py,line={BAD_LINE},title=memory.uninitialised::" in done.stdout
    assert "in 3 runs on trn2" in done.stdout, done.stdout
    assert "MemoryFault" in done.stderr and "8192.0" in done.stderr  # the launches themselves go on as they would alone


def test_what_a_script_says_as_it_leaves_is_shown(opentrn, script):
    leaving = "\nimport sys\nimport numpy as np\ngood(np.ones((128, 64), np.float32))\nsys.exit('values differ')\n"
    done = opentrn("check", "--script", script(KERNELS + leaving))
    assert done.returncode == 1 and "values differ\n" in done.stderr and "no findings" in done.stdout


def test_a_script_that_launches_nothing(opentrn, script):
    done = opentrn("check", "--script", script(KERNELS))
    assert done.returncode == 2 and "launched no kernel" in done.stderr


def test_a_module_of_a_package_may_import_its_neighbours(opentrn, script, tmp_path):
    (tmp_path / "scripts" / "pack").mkdir(parents=True)
    script("", "pack/__init__.py")
    script("WIDTH = 64\n", "pack/sizes.py")
    path = script(
        "from .sizes import WIDTH\n" + BOTH.replace("x=float32[128,64]", "x=float32[128,{WIDTH}]"), "pack/k.py"
    )
    path.write_text(path.read_text().replace('"good": "', '"good": f"'))
    assert "no findings in good(x=float32[128,64])" in opentrn("check", f"{path}::good").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["missing.py"], "no such file"),
        (["FILE::missing"], "has no kernel 'missing'"),
        (["FILE", "--only", "memroy"], "did you mean memory"),
        (["FILE", "--severity", "memory=bad"], "error, warning, advice"),
        (["FILE", "--inputs", "x=bfloat99[128]"], "did you mean bfloat16"),
        (["FILE", "--inputs", "y=float32[128]"], "fits no kernel"),
        (["FILE", "--inputs", "nothing:here"], "no inputs come from nothing:here"),
        (["FILE", "--values", "odd"], "expected: normal"),
        (["FILE", "--output", "missing/found.json"], "no such folder"),
        (["FILE::good", "--script"], "leave ::KERNEL"),
        (["FILE", "--target", "trn9"], "trn9"),
    ],
)
def test_wrong_command_lines(arguments, says, script, capsys, monkeypatch):
    from opentrn.cli import kernels, main

    monkeypatch.setattr(kernels, "install", lambda shadow: None)
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    path = str(
        script(
            KERNELS.replace("import nki", "import opentrn.nki as nki", 1).replace("import nki.", "import opentrn.nki.")
        )
    )
    with pytest.raises(SystemExit) as ended:
        main(["check", *(argument.replace("FILE", path) for argument in arguments)])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


def test_a_file_that_cannot_be_imported(opentrn, script):
    done = opentrn("check", script("import nki\nraise RuntimeError('not today')\n"))
    assert done.returncode == 2
    assert "not today" in done.stderr and "nothing was checked" in done.stderr and "importlib" not in done.stderr
    assert opentrn("check", script("def broken(:\n")).returncode == 2
