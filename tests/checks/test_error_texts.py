"""The texts of docs/error-texts.md are what the command prints, and the fixes that it shows are fixes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from opentrn.docs.error_texts import EXAMPLES, PAGE, fixed, page, refresh
from opentrn.errors import KernelError

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_shows_what_the_command_prints():
    made = page(ROOT)
    assert made == (ROOT / "docs" / PAGE).read_text(encoding="utf-8"), "run: opentrn docs --outputs"
    assert made.count("```diff") >= 15
    assert str(ROOT) not in made


def test_with_every_fix_nothing_is_wrong(tmp_path):
    path = tmp_path / "mistakes.py"
    path.write_text(fixed((ROOT / EXAMPLES).read_text(encoding="utf-8")), encoding="utf-8")
    words = [sys.executable, "-m", "opentrn", "check", path, "--format", "json"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    report = json.loads(done.stdout)
    assert [finding for finding in report["findings"] if finding["severity"] == "error"] == []
    assert len(report["checked"]) >= 15 and report["not_run"] == []


def test_fixes_replace_the_line_above_them():
    assert fixed("a\n    b\n    # fix: c\n    # fix:   d\n    e\n    # fix:\nf\n") == "a\n    c\n      d\nf\n"


EXAMPLE = '''
import nki
import nki.language as nl


@nki.jit
def wrong(x):
    """Not so."""
    return nl.load(x)
    # fix: return x


EXPECTS = {"wrong": "LABEL"}
CHECK_INPUTS = {"wrong": "x=float32[128,8]"}
'''


@pytest.mark.parametrize("label", ["language.call", "memory.bounds"])
def test_a_mistake_that_is_no_longer_found_is_an_error(tmp_path, label):
    (tmp_path / EXAMPLES).parent.mkdir()
    (tmp_path / EXAMPLES).write_text(EXAMPLE.replace("LABEL", label))
    (tmp_path / "docs").mkdir()
    if label == "memory.bounds":
        with pytest.raises(KernelError, match="0 findings"):
            page(tmp_path)
        return
    assert refresh(tmp_path / "docs", check=True) == [PAGE] and not (tmp_path / "docs" / PAGE).exists()
    assert refresh(tmp_path / "docs") == [PAGE] and refresh(tmp_path / "docs") == []
    text = (tmp_path / "docs" / PAGE).read_text()
    assert "## wrong\n\nNot so.\n\n```text\nexamples/mistakes.py:7: error: language.call" in text
    assert "-    return nl.load(x)\n+    return x\n```" in text
