"""The machine without what one family of measurements taught it.

`learned.csv` lists, for every quantity of a chip that was learned from a publication whose rows are validated here, what each
public source gives for it, best first: the chip's own value is the first. To hold a family out is to strike the
publications of its rows from that list; what is left first is the value, and 0 where no other source knows the effect.
Documented quantities, and those learned elsewhere, stay.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from opentrn.machine.change import changed
from opentrn.machine.chip import Chip
from opentrn.validation.rows import read_table, rows

__all__ = ["PUBLICATIONS", "Estimate", "estimates", "held_out", "publications", "without"]

PUBLICATIONS = {
    "traces": r"allenkchau/trainium-kernel-fusion",
    "tutorial": r"kernel-optimization\.rst|img/how-to",
    "dma-overview": r"nki-dma-overview|nki-dma-intro",
    "perf-guide": r"nki_perf_guide",
    "mamba": r"fused_mamba",
    "agentic": r"neuron-agentic-development",
    "autocomp": r"(?i)autocomp",
    "assignment": r"asst4-trainium",
}
"""Publications that taught a chip something and have rows here: name -> how a source's text shows it."""


@dataclass(frozen=True)
class Estimate:
    """What one publication gives for a quantity, in its unit, and how the number comes out of it."""

    chip: str
    path: str
    publication: str
    value: float
    how: str


@cache
def estimates() -> tuple[Estimate, ...]:
    """`learned.csv`, in its order."""
    table = read_table("learned.csv")
    return tuple(Estimate(e["chip"], e["path"], e["publication"], float(e["value"]), e["how"]) for e in table)


@cache
def publications(family: str) -> frozenset[str]:
    """The publications that the rows of `family` come from."""
    sources = [row.source for row in rows() if row.family == family]
    return frozenset(name for name, text in PUBLICATIONS.items() if any(re.search(text, s) for s in sources))


def without(chip: str, family: str) -> dict[str, Estimate]:
    """The quantities of `chip` whose value rests on the publications of `family`, with the best estimate that is left."""
    struck, found = publications(family), {}
    for path in dict.fromkeys(e.path for e in estimates() if e.chip == chip):
        known = [e for e in estimates() if (e.chip, e.path) == (chip, path)]
        if known[0].publication in struck:
            found[path] = next((e for e in known if e.publication not in struck), _nothing(chip, path))
    return found


def _nothing(chip: str, path: str) -> Estimate:
    return Estimate(chip, path, "", 0.0, "no other public source knows it")


@cache
def _machine(chip: Chip, family: str) -> Chip | None:
    values = {path: estimate.value for path, estimate in without(chip.name, family).items()}
    return changed(chip, values) if values else None


def held_out(chip: Chip, family: str) -> Chip | None:
    """`chip` as it would be known without `family`; None where nothing of it was learned from there."""
    return _machine(chip, family)
