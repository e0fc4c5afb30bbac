"""``make fuzz``: random programs for as long as one likes, with seeds and counts.

``python -m tests.fuzz --budget 600 --seed 1``. A round is one seed with a fixed number of programs, so that a failure is
found again by ``--seed N --rounds 1``. `--native FILE` puts another build of the native core in place (the sanitized one).
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path

ROUND = 150


def main() -> None:
    given = _arguments()
    if given.native:
        _install(given.native)
    sys.path.insert(0, str(Path(__file__).parents[1] / "isa"))  # harness, as tests/conftest.py does
    from tests.fuzz.differential import Counts
    from tests.fuzz.rounds import fuzz

    counts, start, number = Counts(), time.monotonic(), given.seed
    while number < given.seed + given.rounds and time.monotonic() - start < given.budget:
        fuzz(number, ROUND, counts)
        print(f"seed {number}: {counts} [{time.monotonic() - start:.0f} s]", flush=True)
        number += 1
    if given.verbose:
        for name in sorted(set(counts.calls) | set(counts.refused)):
            print(f"  {name:26} executed {counts.calls[name]:6}  refused {counts.refused[name]:6}")
        print("  findings of opentrn.check:", dict(counts.findings.most_common()))
    print(f"no difference in {counts.programs} programs; seeds {given.seed} to {number - 1}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--rounds", type=int, default=10**9, help="how many seeds at most")
    parser.add_argument("--budget", type=float, default=600, help="seconds after which no new round begins")
    parser.add_argument("--native", type=Path, help="another build of opentrn._native")
    parser.add_argument("--verbose", action="store_true", help="counts by instruction")
    return parser.parse_args()


def _install(path: Path) -> None:
    """Make `path` the module opentrn._native, before opentrn looks for it."""
    spec = importlib.util.spec_from_file_location("opentrn._native", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["opentrn._native"] = module


if __name__ == "__main__":
    main()
