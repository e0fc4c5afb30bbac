"""check kernel files against the NKI language without running or importing them

Folders are walked. Only kernel code is judged: functions decorated with nki.jit, what they call in their file, and functions
that call instructions. A file says which NKI it is meant for by a comment, `# needs NKI >= 0.3`; else it is today's.
Exit codes: 0 nothing at or above --fail-on, 1 findings, 2 the command line is wrong or a file cannot be read.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from opentrn.checks.finding import SEVERITIES, Finding
from opentrn.errors import LaunchError, OpentrnError

__all__ = ["main"]


def _versions(text: str) -> str:
    from opentrn.checks.api_versions import parse

    try:
        parse(text)
    except LaunchError as error:
        raise argparse.ArgumentTypeError(f"{error.got}: expected {error.expected}") from None
    return text


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _parser() -> argparse.ArgumentParser:
    first, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="opentrn lint", description=f"{first}. {rest}")
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, or folders of Python files")
    parser.add_argument("--nki", type=_versions, default="", metavar="RANGE", help="the versions meant, such as '>= 0.3'")
    parser.add_argument("--needs", action="store_true", help="print the versions of NKI that each kernel needs instead")
    parser.add_argument("--only", type=_names, action="extend", default=[], metavar="NAME,...", help="these checks or rules")
    parser.add_argument("--ignore", type=_names, action="extend", default=[], metavar="NAME,...", help="all but these")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument("--fail-on", choices=SEVERITIES, default="error", help="exit 1 on these or worse (default: error)")
    return parser


def main(argv: Sequence[str]) -> int:
    """Lints, prints the report, and returns 0, 1 or 2 as the description says."""
    parser = _parser()
    given = parser.parse_args(argv)
    try:
        files = list(_files(given.paths))
        found = [] if given.needs else _findings(files, given)
        rows = list(_needs(files)) if given.needs else []
    except OpentrnError as error:
        parser.exit(2, f"opentrn lint: {error}\n")
    if given.needs:
        print("\n".join(rows))
        return 0
    _show(found, len(files), given.format)
    bad = SEVERITIES[: SEVERITIES.index(given.fail_on) + 1]
    return int(any(finding.severity in bad for finding in found))


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    """The files themselves, and every Python file of the folders, hidden folders left out."""
    for path in paths:
        if path.is_dir():
            inside = sorted(path.rglob("*.py"))
            yield from (p for p in inside if not any(part.startswith(".") for part in p.relative_to(path).parts))
        else:
            yield path


def _findings(files: Sequence[Path], given: argparse.Namespace) -> list[Finding]:
    from opentrn.checks.evidence import read_source
    from opentrn.checks.look import Choice, look

    choice = Choice(tuple(given.only), tuple(given.ignore))
    return [f for path in files for f in look("source", read_source(path, given.nki), choice, [str(path)])]


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


def _show(found: Sequence[Finding], files: int, form: str) -> None:
    if form == "json":
        print(json.dumps({"files": files, "findings": [finding.to_dict() for finding in found]}, indent=1))
        return
    for finding in found:
        print(f"{finding.file}:{finding.line}: {finding.severity}: {finding.label}: {finding.message}")
        print(f"  hint: {finding.hint}\n  source: {finding.provenance}, {finding.page}")
    counts = (f"{sum(f.severity == each for f in found)} {each}" for each in SEVERITIES)
    print(f"{', '.join(counts)} in {files} files")
