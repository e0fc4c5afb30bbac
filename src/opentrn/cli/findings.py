"""What `check` and `lint` share: which checks are wanted, and how findings are reported."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from opentrn.checks.finding import SEVERITIES
from opentrn.cli.arguments import output

__all__ = ["choice_of", "choice_options", "report", "report_options"]


def _severity(text: str) -> tuple[str, str]:
    name, equals, severity = text.partition("=")
    if not equals or severity not in SEVERITIES:
        raise argparse.ArgumentTypeError(f"{text} is not NAME=SEVERITY, with one of {', '.join(SEVERITIES)}")
    return name, severity


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def choice_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose checks."""
    which = parser.add_argument_group("which checks (NAME is a check such as memory, or a rule such as memory.clobber)")
    which.add_argument("--only", metavar="NAME,...", type=_names, action="extend", default=[], help="these alone")
    which.add_argument("--ignore", metavar="NAME,...", type=_names, action="extend", default=[], help="all but these")
    which.add_argument(
        "--severity", metavar="NAME=SEVERITY", type=_severity, action="append", default=[], help="judge it differently"
    )


def choice_of(given: argparse.Namespace) -> Any:
    """The choice that was given. Raises LaunchError for a name that is no check."""
    from opentrn.checks.look import Choice

    return Choice(tuple(given.only), tuple(given.ignore), dict(given.severity))


def report_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the report."""
    from opentrn.checks.formats import FORMATS

    how = parser.add_argument_group("the report")
    how.add_argument("--format", choices=tuple(FORMATS), default="text", help="default: text")
    how.add_argument("--output", metavar="FILE", type=output, help="write it there (whole, or not at all)")
    how.add_argument(
        "--fail-on", choices=SEVERITIES, default="error", help="exit 1 on findings this bad or worse (default: error)"
    )


def report(outcome: Any, form: str, path: str | None = None) -> None:
    """Print the outcome in one of the formats, or write it to a file and its summary to stderr."""
    from opentrn.checks.formats import pieces, render, summary

    if path:
        from opentrn.profile.files import write_whole

        write_whole(path, render(outcome, form))
        print(f"{summary(outcome)}\nwrote {path}", file=sys.stderr)
    elif form == "text" and sys.stdout.isatty():
        _coloured(pieces(outcome))
    else:
        sys.stdout.write(render(outcome, form))


_STYLES = {"error": "bold red", "warning": "bold yellow", "advice": "bold cyan", "place": "bold", "quiet": "dim"}


def _coloured(parts: Any) -> None:
    """The text in colour where rich is installed."""
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        sys.stdout.write("".join(piece for piece, _ in parts))
        return
    made = Text.assemble(*((piece, _STYLES.get(style, "")) for piece, style in parts))
    Console(highlight=False).print(made, end="", soft_wrap=True)
