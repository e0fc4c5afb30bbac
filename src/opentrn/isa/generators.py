"""The random generators of a core: one for the Vector Engine, one for GpSimd, seeded the same way in every run."""

from __future__ import annotations

from opentrn.isa.enums import engine
from opentrn.isa.spec import Use
from opentrn.numerics.rng import Lfsr, Xorwow

__all__ = ["STREAMS", "generator"]

LANES = 128
STREAMS = {engine.gpsimd: 1, engine.vector: 4}
"""XORWOW states per lane: 6 words on GpSimd, 24 on the Vector Engine (nisa.rand_set_state, SDK 2.32)."""

POWER_UP = 1
"""Seed before any instruction seeds a generator (not public)."""


def generator(use: Use) -> Lfsr | Xorwow:
    """The generator of the engine that `use` runs on: an LFSR on the Vector Engine before NeuronCore-v4, else XORWOW."""
    bank = use.core.generators
    if use.engine not in bank:
        old = use.engine is engine.vector and use.chip.nc_version < 4
        seed = POWER_UP + use.core.index
        bank[use.engine] = Lfsr.seeded(seed, LANES) if old else Xorwow.seeded(seed, LANES, STREAMS[use.engine])
    return bank[use.engine]
