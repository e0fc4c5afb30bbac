"""Runs the probes of other tools and writes tests/bugs/other_tools.csv; the rows of `read.csv` go in as they are.

    python -m tests.bugs.probes --pallas PYTHON --triton-viz PYTHON

Each names a Python that has the tool; one that is left out keeps its rows. Every probe has a process of its own.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TABLE = HERE.parent / "other_tools.csv"
COLUMNS = ["tool", "class", "result", "how", "version", "date", "evidence"]
PATIENCE_S = 60


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bugs.probes", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pallas", metavar="PYTHON")
    parser.add_argument("--triton-viz", metavar="PYTHON")
    given = parser.parse_args()
    old = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines())) if TABLE.exists() else []
    rows = list(csv.DictReader((HERE / "read.csv").read_text(encoding="utf-8").splitlines()))
    for python, script in ((given.pallas, "pallas.py"), (given.triton_viz, "triton_viz_probes.py")):
        if python:
            rows += _probed(python, HERE / script)
    fresh = {row["tool"] for row in rows}
    rows += [row for row in old if row["tool"] not in fresh]
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        out.writeheader()
        out.writerows(sorted(rows, key=lambda row: (row["tool"], row["class"])))


def _probed(python: str, script: Path) -> list[dict[str, str]]:
    """One row for each class, of all its probes."""
    about = json.loads(_said(python, script) or "{}")
    classes: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for name, (kind, _) in about["probes"].items():
        said = _said(python, script, name)
        found = (
            json.loads(said) if said else {"result": "no", "evidence": f"the run does not end within {PATIENCE_S} s"}
        )
        print(f"{about['tool']}: {name}: {found['result']}: {found['evidence']}", flush=True)
        classes.setdefault(kind, []).append((name, found))
    return [_row(about, kind, found) for kind, found in classes.items()]


def _row(about: dict[str, Any], kind: str, found: list[tuple[str, dict[str, str]]]) -> dict[str, str]:
    results = {each["result"] for _, each in found}
    return {
        "tool": about["tool"],
        "class": kind,
        "result": results.pop() if len(results) == 1 else "partly",
        "how": "run",
        "version": about["version"],
        "date": date.today().isoformat(),
        "evidence": "; ".join(f"{name}: {each['evidence']}" for name, each in found).replace("|", "/"),
    }


def _said(python: str, script: Path, *arguments: str) -> str:
    """The last line that a script prints; '' where it does not end in time."""
    try:
        done = subprocess.run(
            [python, str(script), *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return ""
    if done.returncode:
        raise SystemExit(f"{script.name} {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return done.stdout.strip().splitlines()[-1]


if __name__ == "__main__":
    main()
