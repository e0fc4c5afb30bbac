"""time every published measurement that can be repeated, and compare

Prints predicted and measured times, errors per family and whether versions come out in the right order. A second prediction
comes from a machine that was told nothing by the publications of the row's family ("held out").
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentrn.cli import table
from opentrn.cli.progress import watched
from opentrn.errors import FileError

__all__ = ["main"]

PAGE = Path("docs/accuracy.md")


def _parser() -> argparse.ArgumentParser:
    first, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="opentrn validate", description=first, epilog=rest)
    parser.add_argument("--family", help="only the rows of one family")
    parser.add_argument("--target", help="only the rows of one chip: trn1 or trn2")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--write", type=Path, metavar="FILE", help=f"write the page of results, such as {PAGE}")
    parser.add_argument(
        "--check", type=Path, nargs="?", const=PAGE, metavar="FILE",
        help=f"exit 1 when a family's mean error is more than 2 points above that of a page (default: {PAGE})",
    )  # fmt: skip
    return parser


def main(argv: Sequence[str]) -> int:
    """Times the chosen rows, prints or writes them, and returns 0; 1 when --check finds a family that got worse."""
    parser = _parser()
    given = parser.parse_args(argv)
    if given.write and (given.family or given.target):
        parser.error("--write makes the page of all rows: leave --family and --target out")
    from opentrn.profile.files import write_whole
    from opentrn.validation.page import ALLOWED, page, worse
    from opentrn.validation.predict import predictions
    from opentrn.validation.rows import select

    committed = _read(given.check) if given.check else ""  # before the work: a page that is not there ends it at once
    rows = select(given.family, given.target)
    results = list(watched(predictions(rows), len(rows), "timing"))
    if given.json:
        print(json.dumps({"rows": [_entry(each) for each in results]}, indent=1))
    else:
        _show(results)
    if given.write:
        write_whole(given.write, page(results))
    found = worse(results, committed) if given.check else []
    for each, before in found:
        print(
            f"opentrn validate: {each.family}: mean error {each.mean:.1%}, the page has {before:.1f} %", file=sys.stderr
        )
    if given.check and not found and not given.json:
        print(
            f"\n{len(results)} rows: no family's mean error is more than {ALLOWED:g} points above that of {given.check}"
        )
    return 1 if found else 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise FileError(f"{path} cannot be read", got=error.strerror, hint=f"opentrn validate --write {path}") from None


def _entry(each: Any) -> dict[str, Any]:
    row = each.row
    facts = {name: getattr(row, name) for name in ("id", "kind", "family", "target", "measured_us")}
    found = {"predicted_us": each.predicted_us, "predicted_us_held_out": each.held_out_us}
    problem = {"problem": each.problem} if each.problem else {}
    return facts | found | {"tier": row.tier, "source": row.source} | problem


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}" if value < 1e5 else f"{value:.0f}"


def _cells(each: Any) -> tuple[str, ...]:
    errors = _percent(each.error), _percent(each.held_out_error)
    return (each.row.id, _number(each.row.measured_us), _number(each.predicted_us), *errors, each.row.tier)


def _show(results: Sequence[Any]) -> None:
    from opentrn.validation.summary import families, rankings

    for family in dict.fromkeys(each.row.family for each in results):
        mine = [each for each in results if each.row.family == family]
        print(f"{family} ({mine[0].row.target})")
        table.show(("row", "measured us", "predicted", "error", "held out", "tier"), [_cells(each) for each in mine])
        for source in dict.fromkeys(each.row.source for each in mine):
            print(f"  {source}")
        print()
    made = [
        (
            f.family,
            str(f.rows),
            f"{f.mean:.1%}",
            f"{f.worst:.1%}",
            f.worst_row,
            f"{f.held_out_mean:.1%}",
            f"{f.held_out_worst:.1%}",
        )
        for f in families(results)
    ]
    table.show(("family", "rows", "mean", "worst", "worst row", "held out: mean", "worst"), made)
    print()
    order = [(r.versions, str(r.rows), f"{r.correlation:.2f}", f"{r.held_out:.2f}") for r in rankings(results)]
    if order:
        table.show(("versions of", "rows", "rank correlation", "held out"), order)
    for each in (each for each in results if each.problem):
        print(f"{each.row.id} cannot be predicted: {each.problem}", file=sys.stderr)
