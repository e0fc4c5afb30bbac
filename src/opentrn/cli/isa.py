"""show an instruction: operands, rules with their source, cost, example"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Prints the page of one instruction, or the index of all, and returns 0."""
    parser = argparse.ArgumentParser(prog="opentrn isa", description=__doc__)
    parser.add_argument("name", nargs="?", help="an instruction such as nc_matmul; without it, the index of all")
    parser.add_argument("--json", action="store_true", help="print the same as JSON")
    given = parser.parse_args(argv)
    from opentrn.isa import pages

    if given.json:
        print(json.dumps(pages.data(given.name), indent=2))
    else:
        print(pages.index() if given.name is None else pages.terminal(given.name))
    return 0
