"""Tables on the terminal: by rich where it is installed, else in plain columns."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["show"]


def _plain(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def show(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints `rows` under `heads`; every row has as many cells as there are heads."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        print(_plain([heads, *rows]))
        return
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
