"""The command `opentrn`. One file per command; each has `main(argv) -> exit code` and calls the library.

Exit codes: 0 success, 1 an error of the library or the script, 2 the command line is wrong, 130 interrupted, 141 output unread.
"""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib.metadata
import os
import sys
from collections.abc import Sequence

from opentrn.cli import bench, check, demo, docs, doctor, isa, lint, migrate, profile, run, validate
from opentrn.errors import OpentrnError

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "run": run,
    "check": check,
    "lint": lint,
    "profile": profile,
    "validate": validate,
    "migrate": migrate,
    "demo": demo,
    "isa": isa,
    "doctor": doctor,
    "docs": docs,
    "bench": bench,
}


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What writing to a disk says that has no room."""


def _version() -> str:
    try:
        return importlib.metadata.version("opentrn")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed: running from a source tree)"


def _summary(name: str) -> str:
    return (COMMANDS[name].__doc__ or "").partition("\n")[0]


def _parser() -> argparse.ArgumentParser:
    rows = "\n".join(f"  {name:<8} {_summary(name)}" for name in COMMANDS)
    parser = argparse.ArgumentParser(
        prog="opentrn",
        usage="opentrn [--version] [--help] COMMAND ...",
        description="An AWS Trainium2 in software: NKI kernels run unmodified.",
        epilog=f"commands:\n{rows}\n\n'opentrn COMMAND --help' tells more.\n\n{(__doc__ or '').splitlines()[2]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"opentrn {_version()}")
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, COMMANDS, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the commands are {', '.join(COMMANDS)}"
    return f"opentrn: no command {name!r}; {hint}"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (`sys.argv[1:]` when None) and returns its exit code; usage errors exit with 2."""
    parser = _parser()
    given = parser.parse_args(argv)
    if given.command is None:
        parser.print_help()
        return 0
    if given.command not in COMMANDS:
        print(_unknown(given.command), file=sys.stderr)
        return 2
    try:
        code = COMMANDS[given.command].main(given.rest)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read our output, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OpentrnError as error:
        print(f"opentrn: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in _FULL:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"opentrn: the output cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("opentrn: interrupted", file=sys.stderr)
        return 130
