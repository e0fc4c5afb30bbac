"""`opentrn check` prints the expected finding for each seeded bug and exits with 1, and has nothing against clean kernels."""

import re

import pytest
from tests.bugs.matrix import BUG_FILES, HERE, PAGE, bugs, caught, check, examples, module, quiet

BUGS = {f"{bug.file}-{bug.kernel}": bug for bug in bugs()}


@pytest.mark.parametrize("name", BUGS)
def test_the_expected_finding_is_there_and_the_exit_code_is_1(name):
    result = caught(BUGS[name])
    assert result.yes and result.code == 1, f"{BUGS[name].expected} is not among {result.labels}"


@pytest.mark.parametrize("path", sorted(HERE.glob("clean*.py")), ids=lambda path: path.stem)
def test_clean_kernels_exit_0(path):
    made = quiet(path)
    assert made.kernels and not made.counts["error"], made.labels


def test_examples_have_no_findings_of_severity_error():
    assert [(e.what, e.labels) for e in examples() if e.counts["error"]] == []


def test_there_are_ten_bugs_of_each_kind_and_inputs_for_all():
    for name in BUG_FILES:
        if (HERE / f"{name}.py").exists():
            loaded = module(HERE / f"{name}.py")
            assert len(loaded.EXPECTS) >= 10 and loaded.EXPECTS.keys() == loaded.CHECK_INPUTS.keys(), name
            assert all(getattr(loaded, kernel).__doc__ for kernel in loaded.EXPECTS), name


def test_every_bug_is_on_the_page():
    page = PAGE.read_text()
    assert [
        bug.kernel for bug in BUGS.values() if not re.search(rf"^\| `{bug.kernel}` \|.*\| yes \(", page, re.M)
    ] == []


def test_a_clean_kernel_has_no_finding_at_all():
    code, report = check(f"{HERE / 'clean_rules.py'}::transposed")
    assert code == 0 and report["findings"] == []
