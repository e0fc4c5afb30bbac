"""`opentrn.install`: one module object under two names, and no other nki is replaced unasked. In fresh processes."""

import pytest

SHADOW_ALL = """
import sys, nki, nki.language
from opentrn.install import install, uninstall
other = nki
{call}
import nki
assert nki is sys.modules['opentrn.nki'] and 'nki.language' not in sys.modules
import nki.language
assert nki.language is sys.modules['opentrn.nki.language']
uninstall()
import nki
assert nki is other and sys.modules['nki.language'].VENDOR == 'other'
"""


def passes(python, text, **options):
    done = python("-c", text, **options)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["nki", "nki.language", "nki.isa", "nki.collectives", "nki.typing"])
def test_both_names_are_one_module(python, name):
    text = f"import sys; from opentrn.install import install; install(); import {name} as short\n"
    passes(python, text + f"import opentrn.{name} as long\nassert short is long is sys.modules['opentrn.{name}']")


def test_the_module_keeps_its_own_name_and_spec(python):
    text = "from opentrn.install import install; install(); import nki.language as nl\n"
    passes(python, text + "assert nl.__name__ == nl.__spec__.name == 'opentrn.nki.language', nl.__spec__")


def test_an_attribute_and_a_from_import_reach_the_same_module(python):
    text = "import opentrn.nki.language as before; from opentrn.install import install; install()\n"
    passes(python, text + "from nki import language\nimport nki\nassert nki.language is language is before")


def test_the_function_is_reached_from_the_package(python):
    passes(python, "import opentrn; opentrn.install(); opentrn.install(); import nki; assert nki is opentrn.nki")


def test_twice_is_once(python):
    text = "import sys; from opentrn.install import install; install(); before = list(sys.meta_path); install()\n"
    passes(python, text + "assert sys.meta_path == before")


def test_uninstall_takes_the_name_back(python):
    text = "from opentrn.install import install, uninstall; install(); import nki.isa; uninstall(); uninstall()\n"
    text += "try:\n    import nki\nexcept ModuleNotFoundError: pass\nelse: raise SystemExit('still there')\n"
    passes(python, text + "install(); import nki.isa")


def test_a_missing_module_is_reported_under_the_name_that_was_asked(python):
    done = python("-c", "from opentrn.install import install; install(); import nki.nonsense")
    assert "ModuleNotFoundError: No module named 'nki.nonsense'" in done.stderr


def test_a_name_that_only_begins_like_it_is_left_alone(python):
    done = python("-c", "from opentrn.install import install; install(); import nkilib")
    assert "ModuleNotFoundError: No module named 'nkilib'" in done.stderr


def test_another_installed_nki_is_refused(python, other_nki):
    done = python("-c", "from opentrn.install import install; install()", env=other_nki)
    assert "InstallError: another nki is there" in done.stderr
    assert "elsewhere/nki/__init__.py" in done.stderr
    assert "install(shadow=True)" in done.stderr


def test_an_empty_distribution_named_nki_is_refused(python, tmp_path, other_nki):
    (tmp_path / "elsewhere/nki/__init__.py").unlink()
    info = tmp_path / "elsewhere" / "nki-0.0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nki\nVersion: 0.0.1\n")
    done = python("-c", "from opentrn.install import install; install()", env=other_nki)
    assert "the installed package nki 0.0.1" in done.stderr


def test_a_bare_folder_named_nki_is_no_other_nki(python, tmp_path):
    (tmp_path / "nki").mkdir()
    passes(python, "from opentrn.install import install; install(); import nki; assert nki.__name__ == 'opentrn.nki'")


def test_an_imported_nki_is_refused(python, other_nki):
    done = python("-c", SHADOW_ALL.format(call="install()"), env=other_nki)
    assert "already imported from" in done.stderr


def test_shadow_takes_an_imported_nki_and_uninstall_gives_it_back(python, other_nki):
    passes(python, SHADOW_ALL.format(call="install(shadow=True)"), env=other_nki)


@pytest.mark.parametrize(
    ("name", "long"),
    [
        ("neuronxcc.nki", "opentrn.nki.beta1"),
        ("neuronxcc.nki.language", "opentrn.nki.beta1.language"),
        ("neuronxcc.nki.isa.constants", "opentrn.nki.beta1.isa.constants"),
        ("neuronxcc.nki.compiler.sbuf", "opentrn.nki.beta1.compiler.sbuf"),
        ("neuronxcc", "opentrn.nki.beta1.neuronxcc"),
        ("neuronxcc.starfish.support.dtype", "opentrn.nki.beta1.neuronxcc.starfish.support.dtype"),
    ],
)
def test_the_older_dialect_has_its_names(python, name, long):
    passes(python, f"import opentrn; opentrn.install(); import {name} as short, {long} as long\nassert short is long")


def test_from_neuronxcc_import_nki_and_its_parts(python):
    text = "import opentrn; opentrn.install()\nfrom neuronxcc import nki\nfrom neuronxcc.nki import benchmark, trace\n"
    text += "from neuronxcc.nki.language import par_dim, bfloat16\nfrom neuronxcc.nki.typing import tensor\n"
    text += "import neuronxcc.nki as short\n"
    passes(python, text + "assert nki is short and nki.isa.nc_matmul and nki.compiler.psum.mod_alloc\n")


def test_another_neuronxcc_is_not_replaced_unasked(python, tmp_path):
    (tmp_path / "neuronxcc").mkdir()
    (tmp_path / "neuronxcc" / "__init__.py").write_text("VENDOR = 'other'\n")
    text = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport opentrn\n"
    text += "try:\n    opentrn.install()\nexcept ImportError as error: assert 'another neuronxcc' in str(error)\n"
    text += "else: raise SystemExit('taken')\n"
    passes(python, text + "opentrn.install(shadow=True)\nimport neuronxcc\nassert not hasattr(neuronxcc, 'VENDOR')\n")
