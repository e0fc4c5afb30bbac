"""Outputs of commands in pages: put in place, compared, and refused when the command fails."""

import shlex
from pathlib import Path

import pytest

from opentrn.cli.profile import checked
from opentrn.docs.outputs import commands, refresh
from opentrn.errors import KernelError

PAGE = "# Page\n\n<!-- $ opentrn --version -->\n```text\nold\n```\n\n```text\nnot an output\n```\n"


@pytest.fixture
def page(tmp_path):
    (tmp_path / "docs").mkdir()
    path = tmp_path / "docs" / "page.md"
    path.write_text(PAGE)
    return path


def test_an_output_takes_the_place_of_the_old_one(page):
    assert refresh(page.parent, check=True) == ["page.md"]
    assert page.read_text() == PAGE
    assert refresh(page.parent) == ["page.md"]
    head, _, rest = page.read_text().partition("```text\n")
    assert head == PAGE.partition("```text\n")[0] and rest.startswith("opentrn ")
    assert rest.endswith("\n```\n\n```text\nnot an output\n```\n")
    assert refresh(page.parent, check=True) == []


def test_an_empty_block_does_not_reach_into_the_next(page):
    page.write_text(PAGE.replace("old\n", ""))
    refresh(page.parent)
    assert page.read_text().endswith("\n```\n\n```text\nnot an output\n```\n")


def test_a_command_that_fails_is_an_error_and_the_page_stays(page):
    page.write_text(PAGE.replace("--version", "isa no_such_instruction"))
    with pytest.raises(KernelError, match="no_such_instruction"):
        refresh(page.parent)
    assert "old" in page.read_text()


def test_commands_of_a_page():
    assert commands(PAGE) == ["--version"]


ROOT = Path(__file__).parents[1]
SHOWN = [
    (page.name, command) for page in sorted((ROOT / "docs").glob("*.md")) for command in commands(page.read_text())
]


def test_the_guide_shows_commands():
    assert sum(name == "optimising-a-kernel.md" for name, _ in SHOWN) >= 8


@pytest.mark.parametrize(("page", "command"), [pair for pair in SHOWN if pair[1].startswith("profile ")])
def test_commands_of_the_pages_can_be_run(page, command, monkeypatch):
    """Their outputs are compared by `opentrn docs --outputs --check`, which takes a minute."""
    monkeypatch.chdir(ROOT)
    given, args = checked(shlex.split(command)[1:])
    steps = (ROOT / "examples/optimising/matmul.py").read_text()
    for name in [given.kernel, *args]:
        assert name is None or f"def {name}(" in steps
