"""The part of docs/conformance.md about nki-library's tests, made from the folders that `nki_library.py` wrote.

    python tests/conformance/page.py "the fast set=FOLDER" "everything that fits=FOLDER" ...

Runs of another day go to a part of their own (`--part`, by its date), so that the page keeps those whose folders are gone.
Causes of failures are in `causes.csv`: the first row whose pattern (a regular expression) is found in a failure's test
name and error applies. A failure without a row is shown as not traced.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["cause_of", "main", "markers", "results_of", "section"]

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "conformance.md"

Result = dict[str, Any]


def markers(part: str) -> tuple[str, str]:
    """The lines of the page around a part."""
    name = f"nki-library {part}".rstrip()
    return f"<!-- {name}: written by `python tests/conformance/page.py`; do not edit -->", f"<!-- {name}: end -->"


def results_of(folder: Path) -> list[Result]:
    """One result per test, the last one where a test was run again."""
    lines = (folder / "results.jsonl").read_text().splitlines()
    return list({found["nodeid"]: found for found in map(json.loads, lines)}.values())


def causes() -> list[tuple[re.Pattern[str], str, str]]:
    """(pattern, whose, why) of each known cause."""
    with (HERE / "causes.csv").open() as file:
        return [(re.compile(row["pattern"], re.DOTALL), row["whose"], row["why"]) for row in csv.DictReader(file)]


def cause_of(result: Result, known: Sequence[tuple[re.Pattern[str], str, str]]) -> tuple[str, str]:
    """(whose, why) of a failure."""
    text = result["nodeid"] + "\n" + "\n".join(result.get("error", []))
    return next(((whose, why) for pattern, whose, why in known if pattern.search(text)), ("opentrn", "not traced"))


def _directory(result: Result) -> str:
    path = result["nodeid"].split("::")[0].removeprefix("test/integration/nkilib/")
    return str(Path(path).parent)


def _record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def _table(head: Iterable[str], rows: Iterable[Sequence[object]]) -> list[str]:
    head = list(head)
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(map(str, r)) + " |" for r in rows),
        "",
    ]


def _counts(results: Iterable[Result]) -> Counter[str]:
    return Counter(result["outcome"] for result in results)


def _share(counts: Counter[str]) -> str:
    ran = counts["passed"] + counts["failed"]
    return f"{100 * counts['passed'] / ran:.2f} %" if ran else "-"


def _overview(runs: Sequence[tuple[str, Path]]) -> list[str]:
    rows = []
    for name, folder in runs:
        record, results = _record(folder), results_of(folder)
        counts = _counts(results)
        blind = sum(each["outcome"] == "passed" and not each.get("compared") for each in results)
        seconds = [sum(file[key] for file in record["files"].values()) for key in ("wall", "user", "system")]
        target = (
            record["target"]
            + (", as NKI 0.4" if record.get("older") else "")
            + (", scales that fit" if record.get("to_scale") else "")
        )
        cpu = f"{(seconds[1] + seconds[2]) / 60:.0f} min"
        rows.append(
            (name, target, record["seed"], counts["passed"], blind, counts["failed"], _share(counts), counts["skipped"],
             cpu, f"{seconds[0] / 60:.0f} min", record["date"])
        )  # fmt: skip
    head = (
        "run",
        "target",
        "seed",
        "passed",
        "without comparing values",
        "failed",
        "passed of those run",
        "skipped by the suite",
        "CPU",
        "wall",
        "date",
    )
    return _table(head, rows)


def _directories(runs: Sequence[tuple[str, Path]]) -> list[str]:
    by: dict[str, list[Counter[str]]] = defaultdict(lambda: [Counter() for _ in runs])
    for number, (_, folder) in enumerate(runs):
        for result in results_of(folder):
            by[_directory(result)][number][result["outcome"]] += 1
    rows = [
        (f"`{each}`", *(f"{c['passed']} / {c['failed']} / {c['skipped']}" for c in by[each])) for each in sorted(by)
    ]
    return _table(("directory: passed / failed / skipped", *(name for name, _ in runs)), rows)


def _failures(runs: Sequence[tuple[str, Path]]) -> list[str]:
    known, rows = causes(), []
    for name, folder in runs:
        groups: dict[tuple[str, str, str], list[Result]] = defaultdict(list)
        for result in results_of(folder):
            if result["outcome"] == "failed":
                file = Path(result["nodeid"].split("::")[0]).name
                groups[(file, *cause_of(result, known))].append(result)
        for (file, whose, why), failed in sorted(groups.items()):
            example = failed[0]["nodeid"].split("::")[-1]
            rows.append((name, f"`{file}`", len(failed), whose, why, f"`{_short(example)}`"))
    if not rows:
        return ["No test fails.", ""]
    return _table(("run", "file", "tests", "whose", "cause", "for example"), rows)


def _short(text: str, most: int = 100) -> str:
    return text if len(text) <= most else text[: most // 2] + "..." + text[-most // 2 :]


def _timing(folder: Path) -> list[str]:
    path = folder / "timed.jsonl"
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    passed = {r["nodeid"] for r in results_of(folder) if r["outcome"] == "passed"}
    lines = [line for line in lines if line["nodeid"] in passed]
    timed = [line for line in lines if "latency_us" in line or "error" in line]
    checked = [line for line in lines if "findings" in line or "unchecked" in line]
    tests = len({line["nodeid"] for line in lines})
    raised = Counter(("timing", line["error"].splitlines()[0]) for line in timed if "error" in line)
    raised.update(("checks", line["unchecked"].splitlines()[0]) for line in checked if "unchecked" in line)
    found = Counter(label for line in checked for label in line.get("findings", []))
    said = [
        f"Timed: {len(timed)} launches of kernels in {tests} passing tests. Checked: {len(checked)} launches. "
        f"{raised.total()} of these raised an exception.",
        "",
    ]
    if found:
        said += _table(("finding", "launches' findings"), found.most_common())
    if raised:
        said += _table(
            ("launches", "by", "what was raised"), [(n, by, e.replace("|", "/")) for (by, e), n in raised.most_common()]
        )
    return said


def section(runs: Sequence[tuple[str, Path]], part: str = "") -> str:
    """The whole part, markers included."""
    begin, end = markers(part)
    record = _record(runs[0][1])
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    lines = [
        begin,
        "",
        f"nki-library at {record['checkout_commit']}, in its own simulation mode, through an adapter that gives it `opentrn.nki`",
        "as its `nki`. Each test compares with the library's torch or numpy golden at the library's tolerance.",
        f"{record['machine']}; {versions}; opentrn {record['commit']}.",
        f"What the adapter had to make up because opentrn lacks it: {record['synthesised']}.",
        f"At most {record['memory_gib']:g} GiB resident per process, {record['timeout_s']} s per test.",
        "",
        "    python tests/conformance/nki_library.py --checkout NKI_LIBRARY --adapter ADAPTER --out FOLDER -m fast",
        "",
        *_overview(runs),
        *_directories(runs),
        f"### What fails, and why{', ' + part if part else ''}",
        "",
        *_failures(runs),
    ]  # fmt: skip
    for name, folder in runs:
        timing = _timing(folder)
        if timing:
            lines += [f"### Time and checks: {name}", "", *timing]
    return "\n".join([*lines, end])


def main() -> None:
    """Write the part into docs/conformance.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default="", help="the page's first part without")
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER")
    given = parser.parse_args()
    runs = [(name, Path(folder)) for name, _, folder in (each.partition("=") for each in given.runs)]
    for name, folder in runs:
        if not folder.is_dir():
            parser.error(f"{name}: no folder {folder}")
    page, (begin, end) = PAGE.read_text(), markers(given.part)
    if begin not in page:
        parser.error(
            f"docs/conformance.md has no part {given.part!r}: put these lines where it shall stand: {begin} {end}"
        )
    start, stop = page.index(begin), page.index(end) + len(end)
    fresh = PAGE.with_suffix(".new")
    fresh.write_text(page[:start] + section(runs, given.part) + page[stop:])
    fresh.replace(PAGE)


if __name__ == "__main__":
    main()
