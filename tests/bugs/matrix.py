"""The bug-catch matrix: every seeded bug, the finding expected of it, whether it is caught, and what other tools do.

    python -m tests.bugs.matrix            runs everything and writes docs/bug-catch.md   (`make bugs`)
    python -m tests.bugs.matrix --check    runs everything; 1 where a bug is missed, a clean kernel has an error, or the page is old
    python -m tests.bugs.matrix --samples CHECKOUT_OF_nki-samples    also runs those kernels again (tests/bugs/samples.csv)

What other tools do is data, with version and date: tests/bugs/other_tools.csv, which tests/bugs/probes writes and reads.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib.util
import io
import json
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import opentrn
from opentrn.checks.all import CHECKS
from opentrn.checks.evidence import read_source
from opentrn.checks.look import Choice
from opentrn.checks.outcome import Looks
from opentrn.cli import main as command
from opentrn.isa.all import REGISTRY
from opentrn.nki.check import checking

__all__ = ["BUG_FILES", "Bug", "Clean", "bugs", "caught", "cleans", "page", "quiet"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "bug-catch.md"
BUG_FILES = ("memory", "rules", "numeric", "races", "language", "others")
TITLES = {
    "memory": "Memory",
    "rules": "Shapes and engines",
    "numeric": "Values",
    "races": "Races and deadlocks",
    "language": "Compile-ability",
    "others": "Others",
}

CLASSES = {
    "memory.uninitialised": "uninitialised read",
    "memory.unwritten": "unwritten result",
    "memory.bounds": "out of bounds",
    "memory.clobber": "overwritten buffer",
    "memory.capacity": "over capacity",
    "memory.address": "placement",
    "memory.bank": "placement",
    "memory.span": "placement",
    "memory.accumulate": "accumulation",
    "memory.unused": "waste",
    "memory.dead": "waste",
    "races": "race",
    "deadlock": "deadlock",
    "rules": "instruction rule",
    "language.call": "wrong call",
    "language.raised": "wrong call",
    "language": "language subset",
    "compiler": "language subset",
    "versions": "language version",
    "hardware": "values that may differ",
    "smells": "waste",
    "suppressions": "waste",
}
"""The class under which other tools are asked about a bug: by the expected label, or its check."""


@dataclass(frozen=True)
class Bug:
    """One seeded bug and the label expected of it."""

    file: str
    kernel: str
    text: str
    expected: str

    @property
    def kind(self) -> str:
        return CLASSES.get(self.expected) or CLASSES[self.expected.partition(".")[0]]


@dataclass(frozen=True)
class Caught:
    """What `opentrn check` said of a bug: whether the expected finding is there, its severity, all labels, the exit code."""

    yes: bool
    severity: str
    labels: tuple[str, ...]
    code: int


@dataclass(frozen=True)
class Clean:
    """Kernels that are right: findings by severity, and labels of what was found."""

    what: str
    kernels: int
    counts: Counter[str]
    labels: tuple[str, ...]
    explained: str = ""


@cache
def module(file: Path) -> ModuleType:
    """A file of kernels, imported as a user's."""
    opentrn.install()
    spec = importlib.util.spec_from_file_location(f"bugs_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def bugs() -> list[Bug]:
    """All seeded bugs, in the order of their files."""
    made = []
    for name in BUG_FILES:
        if (file := HERE / f"{name}.py").exists():
            loaded = module(file)
            for kernel, label in loaded.EXPECTS.items():
                text = " ".join((getattr(loaded, kernel).__doc__ or "").split())
                made.append(Bug(name, kernel, text, label))
    return made


LIMIT = 100_000
"""Steps that a seeded bug may take: an endless loop need not run for the two million of the command's default."""


def check(what: str, *options: str) -> tuple[int, dict[str, Any]]:
    """(exit code, report) of ``opentrn check WHAT --format json``."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = command(["check", what, "--format", "json", "--limit", str(LIMIT), *options])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 2
    return int(code or 0), json.loads(said.getvalue() or "{}")


def caught(bug: Bug) -> Caught:
    """What `opentrn check` says of one bug; findings below an error count with the --fail-on that they need."""
    name, _, rule = bug.expected.partition(".")
    declared = CHECKS[name].rules.get(rule)
    wanted = declared.severity if declared else "error"  # those of instructions are errors
    code, report = check(f"{HERE / bug.file}.py::{bug.kernel}", "--fail-on", wanted)
    found = {f"{f['check']}.{f['rule']}": f["severity"] for f in report.get("findings", [])}
    return Caught(found.get(bug.expected) == wanted and code == 1, wanted, tuple(sorted(found)), code)


# ------------------------------------------------------------------ no false alarms
EXAMPLES = (
    ("examples/attention.py::attention", "q=bfloat16[1,640,64] k=bfloat16[1,640,64] v=bfloat16[1,640,64]"),
    *((f"examples/optimising/matmul.py::{k}", "lhs_t=bfloat16[256,256] rhs=bfloat16[256,1024]")
      for k in ("tiled", "hoisted", "stores_aside", "blocked")),
    ("examples/optimising/matmul.py::fully_blocked", "lhs_t=bfloat16[1024,1024] rhs=bfloat16[1024,1024]"),
    ("tests/mutation/two_cores.py::swapped_halves", "x=float32[64,128] lnc=2"),
    ("tests/mutation/two_cores.py::split_contraction", "lhs_t=float32[128,64] rhs=float32[128,96] lnc=2"),
    ("tests/mutation/two_cores.py::column_sums", "x=float32[64,128] lnc=2"),
)  # fmt: skip


def quiet(path: Path) -> Clean:
    """What is found in a file of clean kernels."""
    code, report = check(str(path))
    assert code == 0, f"opentrn check {path} exits {code}"
    return _clean(str(path.relative_to(ROOT)), len(report["checked"]), report["findings"])


def examples() -> list[Clean]:
    """What is found in our examples and the two-core kernels of the mutation tests."""
    return [_clean(what, 1, check(str(ROOT / what), "--inputs", inputs)[1]["findings"]) for what, inputs in EXAMPLES]


def instructions() -> Clean:
    """What is found in the examples of the instructions' pages."""
    from types import SimpleNamespace

    import numpy as np

    from opentrn import nki

    found: list[dict[str, Any]] = []
    names = SimpleNamespace(nki=nki, nl=nki.language, nisa=nki.isa, np=np)
    for made in REGISTRY.values():
        assert made.example is not None
        kernel, arguments = made.example(names)
        found += [f.to_dict() for f in opentrn.check(kernel, target="trn3" if made.since == 4 else "trn2")(*arguments)]
    return _clean("the examples of docs/isa", len(REGISTRY), found)


def _clean(what: str, kernels: int, findings: list[dict[str, Any]]) -> Clean:
    labels = Counter(f"{f['check']}.{f['rule']}" for f in findings)
    shown = tuple(f"{n} x {label}" if n > 1 else label for label, n in sorted(labels.items()))
    return Clean(what, kernels, Counter(f["severity"] for f in findings), shown)


def cleans() -> list[Clean]:
    """The clean set: corrected bugs, our examples, the examples of the instructions, and nki-samples as last run."""
    corrected = [quiet(path) for path in sorted(HERE.glob("clean*.py"))]
    return [*corrected, *examples(), instructions(), *_samples()]


SAMPLES = HERE / "samples.csv"

EXPLAINED = {
    "kernel_offline_quantized_mx_matmul": "mx_kernels.py says nki.jit(platform_target=...), which the migration guide lists "
    "as removed in NKI 0.3; opentrn runs it all the same",
}
"""Why kernels of nki-samples that are right have findings of severity error."""


def _samples() -> list[Clean]:
    """The kernels of nki-samples as they were when somebody had a checkout."""
    rows = _rows(SAMPLES)
    return [
        Clean(
            f"nki-samples ({row['commit'][:7]}) {row['kernel']}",
            1,
            Counter({s: int(row[s]) for s in ("error", "warning", "advice") if row[s] != "0"}),
            tuple(row["labels"].split("; ")) if row["labels"] else (),
            EXPLAINED.get(row["kernel"], "") if row["error"] != "0" else "",
        )
        for row in rows
    ]


def run_samples(root: Path) -> None:
    """Check the public tutorial kernels of a checkout, and write samples.csv."""
    import subprocess

    sys.path.insert(0, str(ROOT / "tests" / "conformance"))
    from mx_samples import mx_jobs
    from samples import load, matmul_jobs

    opentrn.install()
    commit = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    folder = root / "src/nki_samples/tutorials"
    rows, seen = [], set()
    for job in [*matmul_jobs("nki-samples", "matrix_multiplication"), *mx_jobs(folder)]:
        kernel = getattr(load(folder / job.file), job.kernel)
        looks = Looks(Choice())
        with checking(looks.add, job.target):
            job.run(kernel)
        if job.file not in seen:  # what its source shows is the file's, not the kernel's
            seen.add(job.file)
            looks.add_source(read_source(folder / job.file))
        made = _clean(job.kernel, 1, [finding.to_dict() for finding in looks.outcome().findings])
        counts = [str(made.counts[s]) for s in ("error", "warning", "advice")]
        rows.append([commit.stdout.strip(), job.kernel, job.target, *counts, "; ".join(made.labels)])
    with SAMPLES.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [["commit", "kernel", "target", "error", "warning", "advice", "labels"], *rows]
        )


# ------------------------------------------------------------------ the page
TOOLS = ("triton-viz", "Pallas TPU interpret", "AWS's simulator")


def _rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.exists() else []


def page() -> tuple[str, list[Bug], list[Clean]]:
    """(docs/bug-catch.md, bugs that are missed, clean kernels with errors)."""
    all_bugs, results = bugs(), {}
    for bug in all_bugs:
        results[bug] = caught(bug)
    missed = [bug for bug in all_bugs if not results[bug].yes]
    quiet_ones = cleans()
    alarms = [clean for clean in quiet_ones if clean.counts["error"] and not clean.explained]
    others = {(r["tool"], r["class"]): r for r in _rows(HERE / "other_tools.csv")}
    lines = [
        "<!-- generated by `make bugs`; do not edit -->",
        "",
        "# What is caught",
        "",
        f"{len(all_bugs)} seeded bugs, each a small kernel of tests/bugs with the one finding that is expected of it: "
        f"{len(all_bugs) - len(missed)} are caught. `opentrn check FILE.py::KERNEL` prints the finding and exits with 1; for "
        "a warning or advice with --fail-on of that severity. The last columns tell what other tools do with a bug of "
        "that class ([below](#other-tools)): a tool is asked about a class that it knows, with a kernel of its own language.",
        "",
    ]
    for name in BUG_FILES:
        mine = [bug for bug in all_bugs if bug.file == name]
        if mine:
            lines += _table(TITLES[name], mine, results, others)
    lines += _other_tools(others)
    lines += _alarms(quiet_ones)
    return "\n".join(lines) + "\n", missed, alarms


def _table(title: str, mine: list[Bug], results: dict[Bug, Caught], others: dict[Any, Any]) -> list[str]:
    head = ["bug", "", "expected finding", "opentrn", *TOOLS]
    lines = [f"## {title}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for bug in mine:
        result = results[bug]
        said = f"yes ({result.severity})" if result.yes else f"NO: {', '.join(result.labels) or 'nothing'}"
        rest = [others.get((tool, bug.kind), {}).get("result", "") for tool in TOOLS]
        lines.append(f"| `{bug.kernel}` | {bug.text} | `{bug.expected}` | {said} | {' | '.join(rest)} |")
    return [*lines, ""]


def _other_tools(others: dict[Any, Any]) -> list[str]:
    lines = [
        "## Other tools",
        "",
        "`yes`: it says so. `partly`: it says so in some cases, or values show it. `no`: the run ends as if all were well. "
        "`-`: the tool's language has no such thing. AWS's simulator was read about, not run; the page is named. The kernels "
        "that were run stand in tests/bugs/probes; `python -m tests.bugs.probes` runs them again.",
        "",
        "| tool | class | | how it is known | evidence |",
        "|---|---|---|---|---|",
    ]
    for (tool, kind), row in sorted(others.items(), key=lambda pair: (TOOLS.index(pair[0][0]), pair[0][1])):
        how = f"{row['how']}, {row['version']}, {row['date']}"
        lines.append(f"| {tool} | {kind} | {row['result']} | {how} | {row['evidence']} |")
    return [*lines, ""]


def _alarms(cleans: list[Clean]) -> list[str]:
    kernels, errors = sum(c.kernels for c in cleans), sum(c.counts["error"] for c in cleans if not c.explained)
    lines = [
        "## No false alarms",
        "",
        f"{kernels} kernels that are right have {errors} findings of severity error that are not explained. Warnings and "
        "advice are listed.",
        "",
        "| kernels | number | errors | warnings | advice | |",
        "|---|---|---|---|---|---|",
    ]
    for clean in cleans:
        counts = " | ".join(str(clean.counts[s]) for s in ("error", "warning", "advice"))
        told = ". ".join(text for text in (", ".join(clean.labels), clean.explained) if text)
        lines.append(f"| {clean.what} | {clean.kernels} | {counts} | {told} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bugs.matrix", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare the page instead of writing it")
    parser.add_argument("--samples", type=Path, help="a checkout of aws-neuron/nki-samples")
    given = parser.parse_args()
    if given.samples:
        run_samples(given.samples)
    text, missed, alarms = page()
    for bug in missed:
        print(f"missed: {bug.file}.py::{bug.kernel}: {bug.expected} is not among {caught(bug).labels}")
    for clean in alarms:
        print(f"false alarm: {clean.what}: {', '.join(clean.labels)}")
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    stale = given.check and old != text
    if not given.check:
        PAGE.write_text(text, encoding="utf-8")
    if stale:
        print("docs/bug-catch.md is not up to date: run `make bugs`")
    number = len(bugs())
    print(f"{number - len(missed)} of {number} seeded bugs are caught; {len(alarms)} false alarms")
    return 1 if missed or alarms or stale else 0


if __name__ == "__main__":
    sys.exit(main())
