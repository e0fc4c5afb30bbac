"""How far a long command is, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TypeVar

__all__ = ["watched"]

T = TypeVar("T")


def watched(items: Iterable[T], count: int, doing: str) -> Iterable[T]:
    """`items`, with a bar on standard error where that is a terminal and rich is installed."""
    if count < 2 or not sys.stderr.isatty():
        return items
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        return items
    return track(items, total=count, description=doing, console=Console(stderr=True), transient=True)
