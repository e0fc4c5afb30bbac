"""`opentrn migrate`: ten kernels equal in values and latency, and what is not mechanical is listed."""

import ast
import runpy
from pathlib import Path

import numpy as np
import pytest

from opentrn.cli import main
from opentrn.errors import LaunchError
from opentrn.install import install, uninstall
from opentrn.migrate import migrate
from opentrn.migrate.prove import Comparison, Sample

HERE = Path(__file__).parent
OLD = HERE / "old_kernels.py"


@pytest.fixture(autouse=True)
def _names():
    install()
    yield
    uninstall()


@pytest.fixture(scope="module")
def proof():
    install()
    samples = [Sample(name, args) for name, args in runpy.run_path(str(HERE / "old_inputs.py"))["inputs"]()]
    made = migrate(OLD, samples)
    uninstall()
    return made


def test_ten_kernels_are_equal_in_values_and_latency(proof):
    assert len({c.kernel for c in proof.comparisons}) == 10
    assert [c for c in proof.comparisons if not c.proven] == []
    assert proof.holds and proof.notes == []


def test_nothing_of_the_older_dialect_is_left(proof):
    for gone in ("neuronxcc", "mgrid", "arange", "par_dim", "affine_range", "mask=", "loop_reduce", "mode="):
        assert gone not in proof.source, gone
    ast.parse(proof.source)


def test_comments_docstrings_and_lines_that_do_not_change_stay(proof):
    for line in (
        "        # the last tile reaches beyond the tensor",
        '    """Edge tiles under a mask."""',
        "    k, m = lhs_t.shape",
    ):
        assert line in proof.source.splitlines()
    assert "# one DMA" in proof.source


def test_slices_are_what_a_person_would_write(proof):
    assert "nisa.dma_copy(dst=tile[0:128, 0:n], src=x[i * 128:i * 128 + 128, 0:n])" in proof.source
    assert "nisa.nc_matmul(dst=total, stationary=left, moving=right)" in proof.source


def _one(tmp_path, body, *arrays):
    head = "import neuronxcc.nki as nki\nimport neuronxcc.nki.language as nl\nimport neuronxcc.nki.isa as nisa\n"
    path = tmp_path / "old.py"
    path.write_text(
        head
        + "@nki.jit\ndef kernel(x):\n    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)\n"
        + body
        + "    return out\n"
    )
    return migrate(path, [Sample("kernel", arrays or (np.ones((16, 16), np.float32),))])


@pytest.mark.filterwarnings("ignore:.*never written:UserWarning")
@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("    nl.store(out[nl.program_id(0)], nl.load(x[0]))\n", "launch grid"),
        ("    nl.store(out, nl.load(x) / nl.load(x))\n", "division by a tile"),
        ("    i, j = nl.mgrid[0:16, 0:16]\n    nl.store(out[i, j], nl.load(x), mask=i >= j)\n", "mask="),
        ("    nl.store(out, nisa.iota(nl.arange(16)[:, None] + nl.arange(16)[None, :], dtype=nl.float32))\n", "iota"),
        ("    nl.store(out, nl.tan(nl.load(x), dtype=nl.bfloat16))\n", "nl.tan"),
    ],
)  # fmt: skip
def test_what_is_not_mechanical_is_listed_with_its_line(tmp_path, line, why):
    made = _one(tmp_path, line)
    assert any(why in note.why and note.line >= 7 and note.how for note in made.notes), made.notes


def test_a_difference_is_seen():
    assert not Comparison("k", True, 10.0, 10.3).proven and not Comparison("k", False, 10.0, 10.0).proven
    assert Comparison("k", True, 10.0, 10.1).proven and not Comparison("k", True, 10.0, 10.0, "failed").proven


def test_inputs_are_needed_and_name_kernels():
    with pytest.raises(LaunchError, match="migrate"):
        migrate(OLD, [])
    with pytest.raises(LaunchError, match="migrate") as caught:
        migrate(OLD, [Sample("nonsense", ())])
    assert "no kernel 'nonsense'" in str(caught.value)


def test_the_command_writes_the_file_and_tells_what_it_proved(tmp_path, capsys):
    inputs = tmp_path / "inputs.py"
    inputs.write_text(
        "import numpy as np\ndef inputs():\n    return [('even_and_odd', (np.ones((8, 6), np.float32),))]\n"
    )
    assert main(["migrate", str(OLD), "-o", str(tmp_path / "new.py"), "--inputs", str(inputs)]) == 0
    told = capsys.readouterr().err
    assert "even_and_odd: values equal" in told and "0.00%" in told
    assert "import nki.language as nl" in (tmp_path / "new.py").read_text()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert main(["migrate", str(tmp_path / "absent.py"), "--inputs", str(inputs)]) == 2
    (tmp_path / "none.py").write_text("")
    assert main(["migrate", str(OLD), "--inputs", str(tmp_path / "none.py")]) == 2
