"""Which choices of ours are being taken the other way right now: none, except while an instruction runs for a comparison.

Where public sources leave a value open, opentrn makes one choice (`isa.latitudes` declares them all). To see what depends
on it, an instruction is run once more inside `taking`, and the places where the choice is made ask `taken`. Only the numpy
meanings ask; instructions of the compiled core are taken out of it for such a run (`execute.scrutiny`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

__all__ = ["ordinary", "random_bits", "taken", "taking"]


class _State:
    """The names of the choices, and the generator of those that need chance."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        self.random = np.random.default_rng(0)


_NOW = _State()


def taken(name: str) -> bool:
    """True while the choice `name` is taken the other way."""
    return name in _NOW.names


def ordinary() -> bool:
    """True while everything is as opentrn has it."""
    return not _NOW.names


def random_bits() -> np.random.Generator:
    """The generator for choices that are left to chance."""
    return _NOW.random


@contextmanager
def taking(name: str, random: np.random.Generator) -> Iterator[None]:
    """Take the choice `name` the other way inside the ``with`` block, besides those that an outer block takes.

    `random` serves those that are left to chance.
    """
    before = _NOW.names, _NOW.random
    _NOW.names, _NOW.random = _NOW.names | {name}, random
    try:
        yield
    finally:
        _NOW.names, _NOW.random = before
