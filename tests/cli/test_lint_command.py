"""`opentrn lint`: files and folders, formats, exit codes; nothing is imported."""

import json

import pytest

HEAD = "import nki\nimport nki.language as nl\n@nki.jit\ndef kernel(x):\n"


@pytest.fixture
def folder(tmp_path):
    """A folder with a clean kernel, a broken one below it, and one that is hidden."""
    made = tmp_path / "kernels"
    (made / "part").mkdir(parents=True)
    (made / ".hidden").mkdir()
    (made / "good.py").write_text(HEAD + "    return nl.load(x)\n")
    (made / "part" / "bad.py").write_text(HEAD + "    y = {1}\nraise SystemExit('imported')\n")
    (made / ".hidden" / "worse.py").write_text(HEAD + "    y = {2}\n")
    return made


def test_folders_are_walked_and_files_not_imported(opentrn, folder):
    done = opentrn("lint", folder)
    assert done.returncode == 1 and "imported" not in done.stdout + done.stderr
    assert "bad.py:5: error: language.value (in kernel)" in done.stdout and "worse" not in done.stdout


def test_no_findings_is_exit_code_0(opentrn, folder):
    assert opentrn("lint", folder / "good.py").returncode == 0


def test_a_file_of_a_folder_that_is_no_python_does_not_hide_the_others(opentrn, folder):
    (folder / "aside.py").write_text("def (\n")
    done = opentrn("lint", folder)
    assert done.returncode == 1 and "bad.py:5" in done.stdout and "aside.py is no Python file" in done.stdout
    (folder / "part" / "bad.py").unlink()
    assert opentrn("lint", folder).returncode == 2


def test_the_severity_that_fails_can_be_chosen(opentrn, folder):
    (folder / "good.py").write_text(HEAD + "    del x\n")
    assert opentrn("lint", folder / "good.py").returncode == 0
    assert opentrn("lint", folder / "good.py", "--fail-on", "warning").returncode == 1
    assert opentrn("lint", folder / "good.py", "--severity", "language=error").returncode == 1


def test_machines_read_the_same_findings(opentrn, folder):
    rows = json.loads(opentrn("lint", folder, "--format", "json").stdout)["findings"]
    assert [(row["check"], row["rule"], row["line"]) for row in rows] == [("language", "value", 5)]
    assert json.loads(opentrn("lint", folder, "--format", "sarif").stdout)["version"] == "2.1.0"
    assert "::error file=" in opentrn("lint", folder, "--format", "github").stdout


def test_the_versions_that_kernels_need(opentrn, folder):
    done = opentrn("lint", folder / "good.py", "--needs")
    assert done.returncode == 0 and "kernel needs NKI >= 0.3 (nl.load)" in done.stdout
    assert opentrn("lint", folder / "good.py", "--nki", ">= 0.2").returncode == 1
    assert opentrn("lint", folder / "good.py", "--nki", ">= 0.3").returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.py"], "cannot read"),
        (["good.py", "--nki", "0.9"], "versions of NKI"),
        (["good.py", "--only", "langauge"], "did you mean language"),
        (["good.py", "--severity", "language=bad"], "severity"),
        ([], "required"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(opentrn, folder, words, said):
    done = opentrn("lint", *(folder / word if word == "good.py" else word for word in words))
    assert done.returncode == 2 and said in done.stderr
