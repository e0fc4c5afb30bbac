"""run the benchmarks and print each with its ratio to a reference"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Runs `opentrn.bench` with the same arguments and returns its exit code."""
    from opentrn import bench

    return bench.main(argv)
