"""Every instruction has: tests of each rule (one that accepts, one that refuses), an oracle test of its meaning, a native
test where there is a native twin, a runnable example, a documentation page, and a file of its own.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from opentrn.docs import example_report
from opentrn.isa import pages
from opentrn.isa.all import REGISTRY, files

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NAMES = sorted(REGISTRY)


def test_file(name: str) -> Path:
    return HERE / files()[name].parent.name / f"test_{name}.py"


test_file.__test__ = False  # type: ignore[attr-defined]


def functions(name: str) -> set[str]:
    """Names of the test functions of one instruction; a test without assertion or expected refusal doesn't count."""
    tree = ast.parse(test_file(name).read_text())
    return {f.name for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) and f.name.startswith("test_")}


def module(name: str) -> ModuleType:
    """The test file of one instruction, imported."""
    spec = importlib.util.spec_from_file_location(f"case_of_{name}", test_file(name))
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_there_are_46_instructions_and_four_for_registers() -> None:
    import opentrn.nki.isa as nisa

    assert len(REGISTRY) == 46
    assert all(callable(getattr(nisa, f"register_{verb}")) for verb in ("alloc", "move", "load", "store"))


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_is_tested_both_ways(name: str) -> None:
    tested = functions(name)
    for rule in REGISTRY[name].rules:
        for way in ("accepts", "refuses"):
            assert any(t.startswith(f"test_{rule.label}_{way}") for t in tested), (
                f"no test_{rule.label}_{way}_* for {name}"
            )


@pytest.mark.parametrize("name", NAMES)
def test_rules_are_labelled_in_order(name: str) -> None:
    assert [r.label for r in REGISTRY[name].rules] == [f"c{n}" for n in range(1, len(REGISTRY[name].rules) + 1)]


@pytest.mark.parametrize("name", NAMES)
def test_the_meaning_has_an_oracle(name: str) -> None:
    assert any(t.startswith("test_meaning") for t in functions(name)), f"no test_meaning_* for {name}"


@pytest.mark.parametrize("name", [n for n in NAMES if REGISTRY[n].lower is not None])
def test_the_native_twin_is_compared(name: str) -> None:
    assert any(t.startswith("test_native") for t in functions(name)), f"no test_native_* for {name}"


@pytest.mark.parametrize("name", NAMES)
def test_the_example_runs_and_the_page_is_there(name: str) -> None:
    made = REGISTRY[name]
    assert made.doc and made.page and made.example is not None
    assert example_report(made).instructions[name] >= 1
    page = ROOT / "docs" / "isa" / f"{name}.md"
    assert page.exists(), "run `opentrn docs`"
    assert pages.data(name)["signature"] in page.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_one_file_describes_one_instruction(name: str) -> None:
    tree = ast.parse(files()[name].read_text())
    declared = [
        f.name
        for f in tree.body
        if isinstance(f, ast.FunctionDef)
        and any(isinstance(d, ast.Call) and getattr(d.func, "id", "") == "instruction" for d in f.decorator_list)
    ]
    assert declared == [name]


def test_a_missing_rule_test_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "functions", lambda _: set())
    with pytest.raises(AssertionError, match="no test_c1_accepts"):
        test_every_rule_is_tested_both_ways("dma_copy")
