"""Whole programs as AWS's pages write them run unmodified: custom operators in PyTorch and JAX, nki_op, torch_xla's device."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conformance.framework_pages import blocks

import opentrn

installing = sys.modules["opentrn.install"]  # the package shows the function under that name
ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples" / "frameworks"
SAYS = {
    "add_torch.py": ("torch", ["gradient as PyTorch's: True", "compiled gives the same: True"]),
    "add_jax.py": ("jax", ["gradient as JAX's: True", "a batch of two: True"]),
    "operator_torch.py": ("torch", ["gradient is 18 x: True", "test_aot_dispatch_dynamic: SUCCESS"]),
}


def run(*arguments, **variables):
    words = [sys.executable, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=200, env=os.environ | variables)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAYS)
def test_examples(name):
    framework, lines = SAYS[name]
    pytest.importorskip(framework)
    done = run("-m", "opentrn", "run", EXAMPLES / name)
    assert done.returncode == 0, done.stderr
    assert [line for line in lines if line not in done.stdout] == []


LIBRARY = """
import importlib.util, sysconfig, sys
found = {name: importlib.util.find_spec(name) is not None for name in ("torch_xla", "torch_neuronx")}
"""


def test_stand_ins_are_for_scripts_and_not_for_libraries(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "library.py").write_text(LIBRARY)
    monkeypatch.setattr(installing.sysconfig, "get_path", lambda _: str(installed))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, installing._stand_ins])
    monkeypatch.syspath_prepend(installed)
    import library

    assert library.found == {"torch_xla": False, "torch_neuronx": False}
    assert importlib.util.find_spec("torch_xla") is not None
    import torch_neuronx.nki_hop
    import torch_xla
    from torch_xla.core import xla_model

    assert torch_xla.device().type == xla_model.xla_device().type == "cpu"
    assert torch_xla.sync() is None and xla_model.mark_step() is None
    assert torch_neuronx.nki is opentrn.nki and torch_neuronx.nki_hop.wrap_nki is torch_neuronx.wrap_nki
    with pytest.raises(ImportError):
        from torch_neuronx import trace  # noqa: F401
    for name in [name for name in sys.modules if name.startswith(("torch_xla", "torch_neuronx"))]:
        monkeypatch.delitem(sys.modules, name)


OLDER = """
import neuronxcc.nki.language as nl
import torch
from torch_neuronx import nki_jit

def double(given, result):
    nl.store(result, nl.load(given) * 2)

@nki_jit
def triple(given):
    out = nl.ndarray(given.shape, dtype=given.dtype, buffer=nl.shared_hbm)
    nl.store(out, nl.load(given) * 3)
    return out

given, result = torch.ones(4, 8), torch.zeros(4, 8)
nki_jit()(double)(given, result)
print((result == 2).all().item(), (triple(given) == 3).all().item())
"""


def test_nki_jit_of_the_older_dialect(tmp_path):  # nki.api.shared.rst, SDK 2.21
    pytest.importorskip("torch")
    script = tmp_path / "older.py"
    script.write_text(OLDER)
    done = run("-m", "opentrn", "run", script)
    assert done.stdout == "True True\n", done.stderr


def test_blocks_of_a_page():
    page = "Text\n::\n\n   import a\n\n   b = 1\n\nMore text.\n\n.. code-block::\n   :linenos:\n\n   no\n\n::\n\n   c\n"
    assert blocks(page) == ["import a\n\nb = 1\n", "c\n"]
