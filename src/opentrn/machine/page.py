"""The Markdown page of every number of every chip, with unit, tier and source."""

from __future__ import annotations

from collections.abc import Callable

from opentrn.machine.chip import CHIP_NAMES, Quantity, Value, load_chip

__all__ = ["page"]

_INTRO = """# The numbers of the chips

Every number below is read from `src/opentrn/machine/*.toml`; nothing in opentrn types one into code.
A dash means that no public source gives the number for that chip: asking for it raises `MachineError`.
Source paths are inside `aws-neuron/aws-neuron-sdk` (SDK 2.32) unless another repository is named.

| tier | meaning |
|---|---|
| documented | AWS documentation text |
| code | AWS-published source code |
| measured | third-party public measurement on hardware |
| figure | read off an AWS screenshot |
| derived | arithmetic on the rows named |
| fitted | a line through published points |
| inferred | a stated guess, kept until measured |
"""


def page() -> str:
    """The page as Markdown: one table per group, one row per number, one column per chip. The same text each time."""
    groups: dict[str, dict[str, dict[str, Quantity]]] = {}
    for chip in CHIP_NAMES:
        for path, quantity in load_chip(chip).quantities().items():
            group, name = path.split(".", 1) if "." in path else ("identity", path)
            groups.setdefault(group, {}).setdefault(name, {})[chip] = quantity
    return "\n".join([_INTRO, *(_table(group, rows) for group, rows in groups.items())])


def _table(group: str, rows: dict[str, dict[str, Quantity]]) -> str:
    head = ["name", *CHIP_NAMES, "unit", "tier", "source"]
    body = [_row([f"`{name}`", *_cells(by_chip)]) for name, by_chip in sorted(rows.items())]
    return "\n".join([f"## {group}", "", _row(head), _row(["---"] * len(head)), *body, ""])


def _cells(by_chip: dict[str, Quantity]) -> list[str]:
    values = [_shown(by_chip[chip].value) if chip in by_chip else "-" for chip in CHIP_NAMES]
    return [*values, *(_merged(by_chip, read) for read in (lambda q: q.unit, lambda q: q.tier, lambda q: q.source))]


def _merged(by_chip: dict[str, Quantity], read: Callable[[Quantity], str]) -> str:
    """One text where the chips agree; otherwise each distinct text after the chips that hold it."""
    holders: dict[str, list[str]] = {}
    for chip, quantity in by_chip.items():
        holders.setdefault(read(quantity), []).append(chip)
    if len(holders) == 1:
        return next(iter(holders))
    return "<br>".join(f"{', '.join(chips)}: {text}" for text, chips in holders.items())


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(f"({_shown(item)})" if isinstance(item, tuple) else _shown(item) for item in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
