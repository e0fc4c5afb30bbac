"""time the kernels that a script launches, and say where the time goes and what to try

Prints a summary of each distinct launch (kernel, chip, shapes). Files, --what-if and --sweep are for one launch: the
longest, or the longest of the kernel that --kernel names. Arguments of the script itself come after --.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opentrn.cli.arguments import chip_name, output, usage
from opentrn.cli.run import execute
from opentrn.errors import LaunchError, OpentrnError
from opentrn.machine.change import ALIASES, parse_changes

__all__ = ["checked", "main"]


def _axis(text: str) -> tuple[str, list[Any]]:
    from opentrn.profile.sweep import parse_axis

    return parse_axis(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a number of instructions, 0 or more")
    return int(text)


def _columns(text: str) -> str:
    if Path(text).suffix not in (".npz", ".parquet"):
        raise argparse.ArgumentTypeError(f"{text} does not end in .npz or .parquet")
    return output(text)


def _parser() -> argparse.ArgumentParser:
    first, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="opentrn profile", usage="opentrn profile SCRIPT [options] [-- ARGUMENTS]", description=f"{first}. {rest}"
    )
    parser.add_argument("script", nargs="?", help="the Python file to run")
    parser.add_argument("--kernel", metavar="NAME", help="profile the launches of this kernel alone")
    parser.add_argument("--target", metavar="NAME", type=chip_name, help="the chip, such as trn2")
    parser.add_argument("--shadow", action="store_true", help="take the name nki even where another nki is installed")
    parser.add_argument(
        "--reorder",
        metavar="N",
        type=_count,
        default=0,
        help="let stores be triggered up to N instructions of their engine later, where that is legal",
    )
    parser.add_argument("--brief", action="store_true", help="the first lines of each summary, and the first advice")
    files = parser.add_argument_group("files (written whole, or not at all)")
    files.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="the report as JSON; without FILE to the terminal"
    )
    files.add_argument(
        "--html", metavar="FILE", type=output, help="timeline, source and summary as one page for a browser"
    )
    files.add_argument("--perfetto", metavar="FILE", type=output, help="the timeline for the Perfetto UI (.pftrace)")
    files.add_argument("--columns", metavar="FILE", type=_columns, help="every event in columns (.npz or .parquet)")
    files.add_argument("--explorer", metavar="DIR", type=output, help="Parquet tables of the Neuron Explorer schema")
    files.add_argument("--plot", metavar="FILE", type=output, help="with --sweep: latency as .svg, .png or .pdf")
    more = parser.add_argument_group("questions")
    more.add_argument(
        "--what-if",
        metavar="CHANGES",
        type=usage(parse_changes),
        help="the same program on another machine: dma=2x,throttle=off; "
        f"names: {', '.join(ALIASES)}, or a dotted one of docs/machine.md",
    )
    more.add_argument(
        "--sweep",
        metavar="NAME=A,B,C",
        type=usage(_axis),
        action="append",
        help="vary a keyword argument (may be repeated)",
    )
    more.add_argument(
        "--compare", metavar=("A", "B"), nargs=2, help="two of: a saved .json, a script, or SCRIPT.py:KERNEL"
    )
    return parser


def checked(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options, and the script's own arguments; a usage error ends the process with 2."""
    own = argv.index("--") if "--" in argv else len(argv)
    parser = _parser()
    given = parser.parse_args(argv[:own])
    if (given.script is None) == (given.compare is None):
        parser.error("one of SCRIPT and --compare is needed")
    for script in [given.script] if given.script else [operand.partition(":")[0] for operand in given.compare]:
        if not Path(script).is_file():
            parser.error(f"no such file: {script}")
    if given.what_if:
        _try_changes(parser, given)
    if given.plot and not given.sweep:
        parser.error("--plot goes with --sweep")
    if given.json not in (None, "-"):
        try:
            output(given.json)
        except argparse.ArgumentTypeError as error:
            parser.error(str(error))
    return given, list(argv[own + 1 :])


def _try_changes(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Finds a misspelt name or an impossible value before the script runs."""
    from opentrn.machine.change import changed
    from opentrn.machine.chip import load_chip
    from opentrn.nki import settings

    try:
        changed(load_chip(settings.read(given.target).target), given.what_if)
    except OpentrnError as error:
        parser.error(f"argument --what-if: {error}")


def _launches(script: str, kernel: str | None, given: argparse.Namespace, args: Sequence[str]) -> list[Any]:
    """The distinct launches of one script, the longest first. Raises SystemExit with 1 when the script failed."""
    from opentrn.nki.profile import profiling

    with profiling(kernel, reorder=given.reorder) as launches:
        try:
            code = execute(script, args, target=given.target, shadow=given.shadow)
        except SystemExit as leaving:
            code = leaving.code
    if code:
        raise SystemExit(code)
    if not launches:
        what = f"no kernel called {kernel}" if kernel else "no kernel"
        others = f"it launched {', '.join(launches.passed)}" if launches.passed else None
        raise LaunchError(
            f"{script} launched {what}", hint=others or "a kernel is launched when it is called with arrays"
        )
    return sorted(launches, key=lambda launch: -launch.report.latency_us)


def main(argv: Sequence[str]) -> int:
    """Profiles and returns 0; 1 when the script or opentrn raised an error, 2 for a usage error."""
    given, args = checked(argv)
    if given.compare:
        return _compare(given, args)
    # what the script prints must not mix with JSON
    with contextlib.redirect_stdout(sys.stderr) if given.json == "-" else contextlib.nullcontext():
        launches = _launches(given.script, given.kernel, given, args)
    return _sweep(given, launches[0]) if given.sweep else _show(given, launches)


def _show(given: argparse.Namespace, launches: list[Any]) -> int:
    from opentrn.profile.compare import compare, side_by_side
    from opentrn.profile.text import brief, summary
    from opentrn.profile.what_if import what_if

    report, text = launches[0].report, brief if given.brief else summary
    shown = [f"{text(launch.report)}\n{_times(launch.count)}" for launch in launches]
    if given.what_if:
        before, report = report, what_if(report, given.what_if)
        shown = [text(report), side_by_side(compare(before, report))]
    if given.json != "-":
        print("\n\n".join(text.rstrip() for text in shown))
    _write(given, report)
    return 0


def _times(count: int) -> str:
    return f"  (launched {count} times with these shapes)" if count > 1 else ""


def _write(given: argparse.Namespace, report: Any) -> None:
    """Every file that was asked for."""
    if given.json == "-":
        print(json.dumps(report.to_dict(), indent=1))
    elif given.json:
        from opentrn.profile.files import save

        save(report.to_dict(), given.json)
        _wrote(given.json)
    if given.html:
        from opentrn.profile.html import write_html

        write_html(given.html, report.timeline, report.to_dict())
        _wrote(given.html)
    if given.perfetto:
        from opentrn.profile.perfetto import write_perfetto

        write_perfetto(given.perfetto, report.timeline)
        _wrote(given.perfetto)
    if given.columns:
        from opentrn.profile.columns import write_columns

        _wrote(*write_columns(given.columns, report.timeline))
    if given.explorer:
        from opentrn.profile.explorer import write_explorer

        write_explorer(given.explorer, report.timeline)
        _wrote(given.explorer)


def _wrote(*paths: str | Path) -> None:
    for path in paths:
        print(f"wrote {path}", file=sys.stderr)


def _sweep(given: argparse.Namespace, launch: Any) -> int:
    from opentrn.profile.report import to_data
    from opentrn.profile.sweep import plot, sweep, sweep_table

    def progress(done: int, total: int, point: Any) -> None:
        figures = point.error or f"{point.latency_us:.1f} us"
        print(
            f"{done}/{total}  {', '.join(f'{n}={v}' for n, v in point.arguments.items())}: {figures}", file=sys.stderr
        )

    found = sweep(launch.again, dict(given.sweep), launch.report.kernel, progress)
    if given.json == "-":
        print(json.dumps(to_data(found), indent=1))
    else:
        print(sweep_table(found))
    if given.json not in (None, "-"):
        from opentrn.profile.files import whole

        with whole(given.json) as part:
            part.write_text(json.dumps(to_data(found), indent=1) + "\n", encoding="utf-8")
        _wrote(given.json)
    if given.plot:
        plot(found, given.plot)
        _wrote(given.plot)
    return 0 if found.best else 1


def _compare(given: argparse.Namespace, args: Sequence[str]) -> int:
    from opentrn.profile.compare import compare, side_by_side
    from opentrn.profile.report import to_data

    with contextlib.redirect_stdout(sys.stderr):
        found = compare(*(_operand(text, given, args) for text in given.compare))
    print(json.dumps(to_data(found), indent=1) if given.json else side_by_side(found))
    return 0


def _operand(text: str, given: argparse.Namespace, args: Sequence[str]) -> Any:
    """One side of a comparison: a saved report, or the longest launch of a script (and kernel)."""
    path, _, kernel = text.partition(":")
    if path.endswith(".json"):
        from opentrn.profile.files import load

        return load(path)
    return _launches(path, kernel or given.kernel, given, args)[0].report
