"""Which choice of ours is being taken the other way right now: none, except while an instruction runs for a comparison.

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
    """The name of the choice, and the generator of those that need chance."""

    def __init__(self) -> None:
        self.name, self.random = "", np.random.default_rng(0)


_NOW = _State()


def taken(name: str) -> bool:
    """True while the choice `name` is taken the other way."""
    return _NOW.name == name


def ordinary() -> bool:
    """True while everything is as opentrn has it."""
    return not _NOW.name


def random_bits() -> np.random.Generator:
    """The generator for choices that are left to chance."""
    return _NOW.random


@contextmanager
def taking(name: str, random: np.random.Generator) -> Iterator[None]:
    """Take the choice `name` the other way inside the ``with`` block; `random` serves those that are left to chance."""
    before = _NOW.name, _NOW.random
    _NOW.name, _NOW.random = name, random
    try:
        yield
    finally:
        _NOW.name, _NOW.random = before
