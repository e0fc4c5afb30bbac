"""write the generated pages of the manual, or check that they are up to date"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Writes the pages and returns 0; with --check writes nothing and returns 1 when a page differs."""
    parser = argparse.ArgumentParser(prog="opentrn docs", description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=Path("docs"), help="the folder (default: docs)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page is not up to date")
    parser.add_argument("--outputs", action="store_true", help="also run the commands whose output the pages show")
    given = parser.parse_args(argv)
    from opentrn import docs
    from opentrn.docs import error_texts, kernels
    from opentrn.docs.outputs import refresh

    changed = docs.write(given.path, check=given.check)
    if given.outputs:
        for pages in (error_texts.refresh, kernels.refresh, refresh):
            changed += pages(given.path, check=given.check)
    for page in changed:
        print(f"{'stale' if given.check else 'written'}: {page}", file=sys.stderr if given.check else sys.stdout)
    return 1 if given.check and changed else 0
