"""Findings as text, JSON, SARIF and annotations."""

import json
from urllib.parse import unquote

import pytest

from opentrn.checks.finding import Finding, Related
from opentrn.checks.formats import FORM, FORMATS, pieces, render, summary
from opentrn.checks.outcome import Outcome, Subject

SOURCE = "import nki\n\n\ndef kernel(x):\n    copy(x, to=y)  # here\n    wait()\n"


@pytest.fixture
def outcome(tmp_path, monkeypatch):
    folder = tmp_path / "a folder, with: 100% odd names"
    folder.mkdir()
    (folder / "kernel.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    file = str(folder / "kernel.py")
    race = Finding(
        "memory",
        "clobber",
        "error",
        "two things\nat once: 50%, or more",
        file,
        5,
        "wait, first",
        "documented",
        "kernel",
        "page.rst",
        None,
        3,
        (Related("the other", file, 6), Related("nowhere", None, None)),
    )
    slow = Finding("memory", "dead", "advice", "slow", file, 4, None, "inferred", cost_us=12.345)
    lost = Finding("rules", "nc_matmul.c3", "warning", "lost", None, None, "find it", "measured")
    hidden = Finding("memory", "bank", "error", "hidden", "/elsewhere/other.py", 9, None, "documented")
    return Outcome(
        (race, lost, slow),
        ((hidden, "known, see 12"),),
        ("memory", "rules"),
        (Subject("kernel", "x=float32[8]", "trn2", 2),),
        (("other", "no inputs"),),
        (file,),
    )


FOLDER = "a folder, with: 100% odd names"
TEXT = f"""\
{FOLDER}/kernel.py:4: advice: memory.dead
    | def kernel(x):
  slow
  costs:  up to 12.3 us
  source: inferred

{FOLDER}/kernel.py:5: error: memory.clobber (in kernel, 3 times)
    | copy(x, to=y)  # here
  two things
  at once: 50%, or more
  hint:   wait, first
  see:    {FOLDER}/kernel.py:6: the other
  see:    nowhere
  source: documented, page.rst

(no file): warning: rules.nc_matmul.c3
  lost
  hint:   find it
  source: measured

not run: other: no inputs
1 error, 1 warning, 1 advice (1 suppressed) in kernel[2](x=float32[8]) on trn2 (2 checks: memory, rules)
"""


def test_text(outcome):
    assert render(outcome, "text") == TEXT


def test_pieces_are_the_text_with_styles(outcome):
    made = list(pieces(outcome))
    assert "".join(piece for piece, _ in made) == TEXT
    assert ("error: memory.clobber", "error") in made


def test_several_runs_are_listed():
    runs = tuple(Subject("k", f"n={n}", target, 1) for n, target in enumerate(("trn2", "trn3")))
    assert render(Outcome((), (), ("memory",), runs), "text") == (
        "checked: k(n=0) on trn2\nchecked: k(n=1) on trn3\nno findings in 2 runs on trn2, trn3 (1 check: memory)\n"
    )


def test_nothing_looked_at_says_so():
    assert summary(Outcome((), (), ())) == "no findings in nothing (0 checks)"


def test_json_holds_everything(outcome):
    report = json.loads(render(outcome, "json"))
    assert report["form"] == FORM
    assert report["counts"] == {"error": 1, "warning": 1, "advice": 1}
    assert report["checked"] == [{"kernel": "kernel", "arguments": "x=float32[8]", "target": "trn2", "lnc": 2}]
    assert report["not_run"] == [{"kernel": "other", "reason": "no inputs"}]
    assert [finding["rule"] for finding in report["findings"]] == ["clobber", "nc_matmul.c3", "dead"]
    assert report["findings"][0]["related"][1] == {"message": "nowhere", "file": None, "line": None}
    assert report["suppressed"][0]["reason"] == "known, see 12"


def test_annotations_are_escaped(outcome):
    rows = render(outcome, "github").splitlines()
    assert rows[0] == (
        "::error file=a folder%2C with%3A 100%25 odd names/kernel.py,line=5,title=memory.clobber::"
        "two things%0Aat once: 50%25, or more%0Ahint: wait, first"
        "%0Asee a folder, with: 100%25 odd names/kernel.py:6: the other%0Asee nowhere"
    )
    assert rows[1] == "::warning title=rules.nc_matmul.c3::lost%0Ahint: find it"
    assert rows[2].startswith("::notice file=") and rows[2].endswith(",line=4,title=memory.dead::slow")
    assert rows[3] == "::warning title=not run::other: no inputs"
    assert rows[4] == summary(outcome) and len(rows) == 5


def test_sarif_names_rules_places_and_suppressions(outcome):
    log = json.loads(render(outcome, "sarif"))
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert {"memory.clobber", "memory.bank", "rules.nc_matmul.c3"} <= {rule["id"] for rule in rules}
    assert all(rule["help"]["text"] and rule["shortDescription"]["text"] for rule in rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    clobber, lost, dead, hidden = run["results"]
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note", "error"]
    place = clobber["locations"][0]["physicalLocation"]
    assert unquote(place["artifactLocation"]["uri"]) == f"{FOLDER}/kernel.py" and place["region"] == {"startLine": 5}
    assert place["artifactLocation"]["uriBaseId"] in run["originalUriBaseIds"]
    assert [each["message"]["text"] for each in clobber["relatedLocations"]] == ["the other"]
    assert "locations" not in lost and "relatedLocations" not in dead and clobber["occurrenceCount"] == 3
    assert hidden["suppressions"] == [{"kind": "inSource", "justification": "known, see 12"}]
    assert hidden["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "file:///elsewhere/other.py"}


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_ends_with_a_line_break(outcome, form):
    assert render(outcome, form).endswith("\n") and not render(outcome, form).endswith("\n\n")
