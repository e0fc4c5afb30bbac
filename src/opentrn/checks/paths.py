"""Files as reports show them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["shown_path"]


def shown_path(file: str) -> str:
    """`file` from the current folder where it is below that; else as it is."""
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_absolute() and path.is_relative_to(here) else file
