"""run the main job: causal flash attention on real text, checked and explained"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str]) -> int:
    """Runs `opentrn.demo` with the same arguments and returns its exit code."""
    from opentrn import demo

    return demo.main(argv)
