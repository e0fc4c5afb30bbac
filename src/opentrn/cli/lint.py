"""check kernel files against the NKI language without running or importing them

Folders are walked. Only kernel code is judged: functions decorated with nki.jit, what they call in their file, and functions
that call instructions. A file says which NKI it is meant for by a comment, `# needs NKI >= 0.3`; else it is today's.
Exit codes: 0 nothing at or above --fail-on, 1 findings, 2 the command line is wrong or a file cannot be read.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from opentrn.cli.arguments import usage
from opentrn.cli.findings import choice_of, choice_options, report, report_options
from opentrn.errors import FileError, OpentrnError

__all__ = ["main"]


def _versions(text: str) -> str:
    from opentrn.checks.api_versions import parse

    parse(text)
    return text


def _parser() -> argparse.ArgumentParser:
    first, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="opentrn lint", description=f"{first}. {rest}")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, or folders of Python files")
    parser.add_argument(
        "--nki", type=usage(_versions), default="", metavar="RANGE", help="the versions meant, such as '>= 0.3'"
    )
    parser.add_argument("--needs", action="store_true", help="print the versions that each kernel needs instead")
    choice_options(parser)
    report_options(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Lints, prints the report, and returns 0, 1 or 2 as the description says."""
    parser = _parser()
    given = parser.parse_args(argv)
    try:
        files = list(_files(given.paths))
        if given.needs:
            print("\n".join(_needs(files)))
            return 0
        outcome = _outcome(files, given)
    except OpentrnError as error:
        parser.exit(2, f"opentrn lint: {error}\n")
    report(outcome, given.format, given.output)
    return 1 if outcome.fails(given.fail_on) else 2 if outcome.not_run else 0


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files themselves, and every Python file of the folders, hidden folders left out."""
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*.py"))
            yield from (p for p in inside if not any(part.startswith(".") for part in p.relative_to(path).parts))
        else:
            yield path


def _outcome(files: Sequence[Path], given: argparse.Namespace) -> Any:
    """What was found; of folders, files that cannot be read or are no Python are left out and said to be."""
    from opentrn.checks.evidence import read_source
    from opentrn.checks.finding import text_of
    from opentrn.checks.outcome import Looks

    looks, unread = Looks(choice_of(given)), []
    for path in files:
        try:
            looks.add_source(read_source(path.resolve(), given.nki))
        except FileError as error:
            if not any(folder.is_dir() for folder in given.paths):
                raise
            unread.append((str(path), text_of(error)))
    return looks.outcome(unread)


def _needs(files: Sequence[Path]) -> Iterator[str]:
    from opentrn.checks.api_versions import needs, span
    from opentrn.checks.evidence import read_source
    from opentrn.checks.kernels import code_of

    for path in files:
        code = code_of(read_source(path))
        for kernel in code.entries:
            versions, narrow = needs(code, kernel)
            why = ", ".join(dict.fromkeys(str(use) for use in narrow))
            yield f"{path}:{kernel.lineno}: {kernel.name} needs NKI {span(versions)}" + (f" ({why})" if why else "")
