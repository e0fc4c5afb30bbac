"""Kinds of command line arguments that several commands take."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opentrn.errors import OpentrnError

__all__ = ["chip_name", "output", "usage"]


def usage(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """`parse` for argparse: what opentrn refuses is a usage error."""

    def parsed(text: str) -> Any:
        try:
            return parse(text)
        except OpentrnError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def output(text: str) -> str:
    """A path that a file can be written to: its folder is there."""
    if not Path(text).absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"no such folder: {Path(text).parent}")
    return text


@usage
def chip_name(name: str) -> str:
    """The chip that `name` is a spelling of."""
    # Imported here: this reaches numpy, and most runs name no chip.
    from opentrn.machine.chip import load_chip

    return load_chip(name).name
