"""run kernels and report everything that would go wrong with them on the chip

Checks the kernels of a file that say in CHECK_INPUTS what to run them on, or for which --inputs is given; with --script
every distinct launch of a script instead (its own arguments come after --). Arrays need no values: those are made.
Exit codes: 0 nothing at or above --fail-on, 1 findings, 2 nothing could be checked, or the command line is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from opentrn.cli.arguments import chip_name
from opentrn.cli.findings import choice_of, choice_options, report, report_options
from opentrn.cli.progress import watched
from opentrn.cli.run import execute_to_end
from opentrn.cli.user_frames import skip_to
from opentrn.errors import OpentrnError

__all__ = ["main"]


def _cores(text: str) -> int:
    if text not in ("1", "2"):
        raise argparse.ArgumentTypeError(f"{text} is not 1 or 2")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    from opentrn.nki.check import LIMIT

    first, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="opentrn check",
        usage="opentrn check FILE.py[::KERNEL] [options]\n       opentrn check --script FILE.py [options] [-- ARGUMENTS]",
        description=f"{first}. {rest}",
    )
    parser.add_argument("file", metavar="FILE.py[::KERNEL]", help="the file, and which of its kernels (default: all)")
    parser.add_argument("--script", action="store_true", help="run the file, and check each distinct launch it makes")
    parser.add_argument("--shadow", action="store_true", help="take the name nki even where another nki is installed")
    what = parser.add_argument_group("what to run")
    what.add_argument(
        "--inputs",
        metavar="TEXT",
        help="such as 'x=bfloat16[128,512] scale=2.0', or module:function that gives back a tuple or a dict",
    )
    what.add_argument("--target", metavar="NAME", type=chip_name, help="the chip, such as trn2")
    what.add_argument("--lnc", metavar="N", type=_cores, help="the number of cores: 1 or 2")
    what.add_argument(
        "--values", metavar="KIND", default="normal", help="values made for arrays: normal, special (NaN, infinities, "
        "denormals, ends of the type), zeros, ones, or a range low:high",
    )  # fmt: skip
    what.add_argument("--seed", metavar="N", type=int, default=0, help="the seed of these values")
    what.add_argument(
        "--rerun",
        action="store_true",
        help="run again for each choice that public sources leave open (docs/differs.md)",
    )
    what.add_argument(
        "--explore", metavar="N", type=int, default=0, help="run kernels on two cores in N other legal orders"
    )
    what.add_argument("--limit", metavar="N", type=int, default=LIMIT, help="a core that takes more steps does not end")
    choice_options(parser)
    report_options(parser)
    return parser


def main(argv: Sequence[str]) -> int:
    """Checks, prints or writes the report, and returns 0, 1 or 2 as the description says."""
    own = argv.index("--") if "--" in argv else len(argv)
    parser = _parser()
    given = parser.parse_args(argv[:own])
    given.path, _, given.kernel = given.file.partition("::")
    _refuse(parser, given)
    try:
        with _stdout_for(given):
            outcome, code = _script(given, argv[own + 1 :]) if given.script else _kernels(given)
    except OpentrnError as error:  # of the file or its inputs: what kernels raise is a finding
        parser.exit(2, f"opentrn check: {error}\n")
    report(outcome, given.format, given.output)
    return code or int(outcome.fails(given.fail_on))


def _refuse(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Ends the process with 2 for what can be known to be wrong before anything runs."""
    if not Path(given.path).is_file():
        parser.error(f"no such file: {given.path}")
    if given.script and (given.kernel or given.inputs or given.lnc):
        parser.error("--script runs what the script launches: leave ::KERNEL, --inputs and --lnc out")
    from opentrn.nki.values import Values

    try:
        given.choice = choice_of(given)
        watch, values = given.choice.wants("hardware"), Values(given.values, given.seed)
        given.how = {
            "values": values,
            "watch": watch,
            "rerun": given.rerun,
            "limit": given.limit,
            "explore": given.explore,
        }
    except OpentrnError as error:
        parser.error(str(error))


@contextlib.contextmanager
def _stdout_for(given: argparse.Namespace) -> Any:
    """What kernels print must not mix with a report that programs read."""
    with contextlib.redirect_stdout(sys.stderr) if given.format != "text" else contextlib.nullcontext():
        yield


def _looks(given: argparse.Namespace, others: Sequence[str] = ()) -> Any:
    """The source of the file without the `others` of its kernels, looked at; runs are added to it."""
    from opentrn.checks.evidence import read_source
    from opentrn.checks.outcome import Looks

    looks = Looks(given.choice)
    looks.add_source(read_source(Path(given.path).resolve()).without(others))
    return looks


def _kernels(given: argparse.Namespace) -> tuple[Any, int]:
    """The outcome of every kernel that was asked for, and 2 where none could be run."""
    from opentrn.cli.kernels import launches_of, others_than
    from opentrn.nki.check import evidence_of

    module = _module(given)
    looks = _looks(given, others_than(given.kernel, module) if given.kernel else ())
    launches = launches_of(module, given.kernel or None, given.inputs, given.lnc)
    runs = [(launch.kernel, launch.inputs) for launch in launches if launch.inputs is not None]
    for kernel, inputs in watched(runs, len(runs), "checking"):
        looks.add(evidence_of(kernel, inputs.args, inputs.kwargs, given.target or inputs.target, **given.how))
    why = "no inputs (--inputs, or CHECK_INPUTS in the file)"
    not_run = [(launch.name, why) for launch in launches if launch.inputs is None]
    return looks.outcome(not_run), 0 if runs else 2


def _module(given: argparse.Namespace) -> ModuleType:
    """The imported file; one that cannot be imported ends the process with 2 and its traceback."""
    from opentrn.cli.kernels import module_of

    try:
        return module_of(Path(given.path), given.shadow)
    except OpentrnError:
        raise
    except Exception as error:
        skip_to(str(Path(given.path).resolve()), error)
        traceback.print_exception(error)
        print(f"opentrn check: {given.path} cannot be imported, so nothing was checked", file=sys.stderr)
        raise SystemExit(2) from None


def _script(given: argparse.Namespace, arguments: Sequence[str]) -> tuple[Any, int]:
    """The outcome of every distinct launch; 1 where the script failed, 2 where it launched nothing."""
    from opentrn.nki.check import checking

    looks = _looks(given)
    with checking(looks.add, given.target, **given.how):
        code = execute_to_end(given.path, arguments, target=given.target, shadow=given.shadow)
    if not looks.subjects:
        print(f"opentrn check: {given.path} launched no kernel", file=sys.stderr)
    return looks.outcome(), int(bool(code)) if looks.subjects else 2
