"""run a script in which `import nki` is opentrn

The script runs as `__main__`, with its own arguments and its folder first on the import path, as under python itself.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path

from opentrn.cli.arguments import chip_name
from opentrn.cli.user_frames import keep_user_frames, skip_to
from opentrn.errors import OpentrnError
from opentrn.install import install

__all__ = ["execute", "execute_to_end", "main"]

_TARGET_VARIABLE = "NEURON_PLATFORM_TARGET_OVERRIDE"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="opentrn run", description=(__doc__ or "").replace("\n\n", ". ", 1))
    parser.add_argument("--shadow", action="store_true", help="take the name nki even where another nki is installed")
    parser.add_argument(
        "--target",
        metavar="NAME",
        type=chip_name,
        help=f"the chip, such as trn2; the same as setting {_TARGET_VARIABLE}",
    )
    summary = parser.add_argument_group("what the program's kernel calls come to (opentrn.session)")
    summary.add_argument(
        "--summary", action="store_true", help="a table at the end: calls, predicted time, findings, bounds"
    )
    summary.add_argument("--json", action="store_true", help="the same as JSON; what the script prints goes to stderr")
    summary.add_argument("--html", metavar="FILE", help="the same as one page, with the timeline of every launch")
    parser.add_argument("script", help="the Python file to run")
    parser.add_argument("args", nargs=argparse.REMAINDER, help="the script's own arguments")
    return parser


def _become(script: Path, args: Sequence[str]) -> None:
    """Makes this process look like `python script args`."""
    sys.argv = [str(script), *args]
    sys.path[0] = str(script.resolve().parent)


def _report(error: BaseException, script: str) -> None:
    """Prints the traceback from the script on; for our own errors without the frames inside opentrn."""
    skip_to(script, error)
    if isinstance(error, OpentrnError):
        keep_user_frames(error)
    traceback.print_exception(error)


def execute(script: str, args: Sequence[str], *, target: str | None = None, shadow: bool = False) -> int:
    """Runs a script as `__main__` of this process; 0, or 1 when it raised, with the traceback printed."""
    if target is not None:
        os.environ[_TARGET_VARIABLE] = target
    _become(Path(script), args)
    install(shadow=shadow, stand_ins=True)
    try:
        runpy.run_path(script, run_name="__main__")
    except Exception as error:
        _report(error, script)
        return 1
    return 0


def execute_to_end(script: str, args: Sequence[str], *, target: str | None = None, shadow: bool = False) -> int:
    """`execute` for a caller with something to say afterwards: the script's own SystemExit becomes the exit code it asks for."""
    try:
        return execute(script, args, target=target, shadow=shadow)
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)


def main(argv: Sequence[str]) -> int:
    """Runs the script and returns 0, or 1 when it raised; its own SystemExit passes through."""
    given = _parser().parse_args(argv)
    script = Path(given.script)
    if not script.is_file():
        print(f"opentrn run: no such script: {script}", file=sys.stderr)
        return 2
    if given.summary or given.json or given.html:
        return _summarised(given)
    return execute(str(script), given.args, target=given.target, shadow=given.shadow)


def _summarised(given: argparse.Namespace) -> int:
    """Runs the script in a session and shows it, also when the script failed after a few calls."""
    from opentrn.bridges.session import session

    with session() as gathered, redirect_stdout(sys.stderr) if given.json else nullcontext():
        code = execute_to_end(given.script, given.args, target=given.target, shadow=given.shadow)
    if given.json:
        print(json.dumps(gathered.to_dict(), indent=1))
    elif given.summary:
        print(f"\n{gathered}")
    if given.html:
        gathered.write_html(given.html)
        print(f"wrote {given.html}", file=sys.stderr)
    return code
