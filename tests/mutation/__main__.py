"""``make mutate``: correct kernels made wrong, and how many of the wrong ones are noticed.

``python -m tests.mutation --budget 600 --seed 1``. Mutants are taken in an order drawn from the seed, as many as the budget
allows; without --budget all of them. Exit code 1 when fewer than 95 % of the mutants that are not equivalent are caught.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import opentrn

opentrn.install()  # the kernels say `import nki`

from tests.mutation.judge import INPUTS, Baseline, Verdict, baseline, judge  # noqa: E402
from tests.mutation.operators import Mutant, mutants  # noqa: E402
from tests.mutation.subjects import SUBJECTS, Subject  # noqa: E402

WANTED = 0.95
SURVIVORS = Path(__file__).with_name("survivors.csv")


def main() -> int:
    given = _arguments()
    subjects = [s for s in SUBJECTS if given.only in str(s)]
    with tempfile.TemporaryDirectory() as folder:
        before = {str(s): baseline(s, Path(folder), given.seed) for s in subjects}
        work = [(s, m) for s in subjects for m in mutants(s.path.read_text(), before[str(s)].lines)]
        random.Random(given.seed).shuffle(work)
        print(f"seed {given.seed}: {len(work)} mutants of {len(subjects)} kernels, {INPUTS} inputs each", flush=True)
        verdicts = _all(work, before, Path(folder), given)
    return _report(verdicts, given)


def _all(
    work: list[tuple[Subject, Mutant]], before: dict[str, Baseline], folder: Path, given: argparse.Namespace
) -> list[tuple[Subject, Mutant, Verdict]]:
    done, start = [], time.monotonic()
    for number, (subject, mutant) in enumerate(work, 1):
        done.append((subject, mutant, judge(subject, mutant, before[str(subject)], folder, given.seed)))
        if number % 50 == 0:
            caught = sum(v.caught for *_, v in done)
            print(f"  {number} of {len(work)}: {caught} caught [{time.monotonic() - start:.0f} s]", flush=True)
        if time.monotonic() - start > given.budget:
            print(f"  budget of {given.budget:.0f} s used: {number} of {len(work)} mutants were judged", flush=True)
            break
    return done


def _report(verdicts: list[tuple[Subject, Mutant, Verdict]], given: argparse.Namespace) -> int:
    known = {(r["kernel"], r["mutant"]): r for r in csv.DictReader(SURVIVORS.read_text(encoding="utf-8").splitlines())}
    table: dict[str, Counter[str]] = {}
    survivors, wrong = [], []
    for subject, mutant, verdict in verdicts:
        row = table.setdefault(mutant.operator, Counter())
        judged = known.get((str(subject), mutant.name), {"equivalent": "", "reason": "not looked at yet"})
        equivalent = not verdict.caught and bool(verdict.same or judged["equivalent"] == "yes")
        row.update(mutants=1, finding=bool(verdict.findings), values=verdict.values, caught=verdict.caught)
        row.update(equivalent=equivalent)
        if verdict.wrong:
            wrong.append((subject, mutant, verdict.wrong))
        elif not verdict.caught and not verdict.same:
            survivors.append((subject, mutant, verdict, judged))
        if given.verbose:
            said = ", ".join(verdict.findings) or verdict.same or "-"
            print(f"  {mutant.operator:20} {subject} {mutant.name} [{said}] off {verdict.off:.3g}")
    total = sum(table.values(), Counter())
    _print_table({**dict(sorted(table.items())), "all": total})
    for subject, mutant, verdict, judged in survivors:
        kind = "equivalent" if judged["equivalent"] == "yes" else "SURVIVES"
        print(
            f"{kind}: {mutant.operator}: {subject}: {mutant.name} (line {mutant.line}) (off {verdict.off:.3g}): {judged['reason']}"
        )
    for subject, mutant, text in wrong:
        print(f"CHECK RAISED: {mutant.operator}: {subject}: {mutant.name} (line {mutant.line}): {text}")
    share = total["caught"] / max(1, total["mutants"] - total["equivalent"])
    print(f"seed {given.seed}: {share:.1%} of the mutants that are not equivalent are caught (wanted: {WANTED:.0%})")
    if given.list:
        _write(given.list, survivors)
    return 0 if share >= WANTED and not wrong else 1


def _print_table(table: dict[str, Counter[str]]) -> None:
    print(f"{'':22}{'mutants':>8}{'finding':>9}{'values':>8}{'caught':>8}{'equivalent':>12}{'share':>8}")
    for name, row in table.items():
        rest = row["mutants"] - row["equivalent"]
        share = f"{row['caught'] / rest:8.0%}" if rest else f"{'-':>8}"
        print(
            f"{name:22}{row['mutants']:8}{row['finding']:9}{row['values']:8}{row['caught']:8}{row['equivalent']:12}{share}"
        )


def _write(path: Path, survivors: list[tuple[Subject, Mutant, Verdict, dict[str, str]]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["kernel", "mutant", "equivalent", "reason"])
        for subject, mutant, _, judged in survivors:
            out.writerow([subject, mutant.name, judged["equivalent"], judged["reason"]])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--budget", type=float, default=float("inf"), help="seconds after which no new mutant is judged"
    )
    parser.add_argument("--only", default="", help="part of FILE::KERNEL")
    parser.add_argument(
        "--list", type=Path, help="write the silent mutants that are not proven equivalent to a CSV file"
    )
    parser.add_argument("--verbose", action="store_true", help="every mutant")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
