"""run a script in which `import nki` is opentrn

The script runs as `__main__`, with its own arguments and its folder first on the import path, as under python itself.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from opentrn.cli.arguments import chip_name
from opentrn.cli.user_frames import keep_user_frames, skip_to
from opentrn.errors import OpentrnError
from opentrn.install import install

__all__ = ["execute", "main"]

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
    install(shadow=shadow)
    try:
        runpy.run_path(script, run_name="__main__")
    except Exception as error:
        _report(error, script)
        return 1
    return 0


def main(argv: Sequence[str]) -> int:
    """Runs the script and returns 0, or 1 when it raised; its own SystemExit passes through."""
    given = _parser().parse_args(argv)
    script = Path(given.script)
    if not script.is_file():
        print(f"opentrn run: no such script: {script}", file=sys.stderr)
        return 2
    return execute(str(script), given.args, target=given.target, shadow=given.shadow)
