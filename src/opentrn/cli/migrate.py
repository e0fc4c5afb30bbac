"""rewrite kernels of the older dialect (neuronxcc.nki), and prove that nothing changed

What is mechanical is rewritten, the rest is listed with file and line. The inputs come from a file with a function
``inputs()`` that gives a list of (kernel name, tuple of arguments); both forms are run on them and their values and
predicted latencies compared. Exit codes: 0 something was compared and all of it agrees, 1 not so, 2 a file is not what it
should be, or the command line is wrong.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentrn.cli.arguments import output
from opentrn.install import install

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="opentrn migrate", description=(__doc__ or "").replace("\n\n", ". ", 1))
    parser.add_argument("file", type=Path, help="the Python file with the old kernels")
    parser.add_argument("-o", "--output", type=output, help="where to write the new file (without: standard output)")
    parser.add_argument(
        "--inputs", type=Path, required=True, metavar="FILE", help="a Python file with a function inputs()"
    )
    return parser


def main(argv: Sequence[str]) -> int:
    """Rewrites one file; see the module's text."""
    parser = _parser()
    given = parser.parse_args(argv)
    for path in (given.file, given.inputs):
        if not path.is_file():
            print(f"opentrn migrate: no such file: {path}", file=sys.stderr)
            return 2
    install()
    from opentrn.errors import OpentrnError
    from opentrn.migrate.prove import Sample, migrate
    from opentrn.profile.files import write_whole

    found: Any = runpy.run_path(str(given.inputs)).get("inputs")
    if not callable(found):
        print(f"opentrn migrate: {given.inputs} has no function inputs()", file=sys.stderr)
        return 2
    try:
        listed: Any = found()
        proof = migrate(given.file, [Sample(name, tuple(args)) for name, args in listed])
    except OpentrnError as error:
        print(f"opentrn migrate: {error}", file=sys.stderr)
        return 1
    if given.output is None:
        print(proof.source, end="")
    else:
        write_whole(given.output, proof.source)
    _tell(given.file, proof)
    return 0 if proof.holds else 1


def _tell(file: Path, proof: Any) -> None:
    """What is not mechanical, and what the comparisons gave, on standard error."""
    for note in proof.notes:
        print(f"{file}:{note.line}: not mechanical: {note.why}; instead: {note.how}", file=sys.stderr)
    for each in proof.comparisons:
        if each.failed:
            print(f"{each.kernel}: the new form fails: {each.failed}", file=sys.stderr)
            continue
        values = "values equal" if each.equal else "VALUES DIFFER"
        print(
            f"{each.kernel}: {values}, {each.old_us:.2f} us -> {each.new_us:.2f} us ({each.gap:.2%})", file=sys.stderr
        )
