"""The random generators of a core: one for the Vector Engine, one for GpSimd, seeded the same way in every run."""

from __future__ import annotations

from typing import Any

import numpy as np

from opentrn.isa.costs import addressed, cycles_ns, gpsimd_cost, inferred, tiers_of, vector_cost
from opentrn.isa.enums import engine
from opentrn.isa.spec import Cost, Use
from opentrn.numerics.rng import WORDS, Lfsr, Xorwow

__all__ = ["STATE_ORDER", "draw", "generator", "lanes", "random_cost", "seeded", "state_cost", "state_words"]

STATE_ORDER = (
    "A state is Marsaglia's x, y, z, w, v and counter d, in this order, the Vector Engine's four states one after the "
    "other; the order of the hardware's words is not public."
)
"""What may differ in the states that rand_get_state and rand_set_state move."""

POWER_UP = 1
"""Seed before any instruction seeds a generator (not public)."""


def state_words(use: Use) -> int:
    """32-bit words of XORWOW state in each lane of the engine: 6 on GpSimd, 24 on the Vector Engine."""
    return use.chip.limits[f"rand_state_words_{use.engine.name}"]


def seeded(use: Use, seed: int) -> Lfsr | Xorwow:
    """A generator as `use.engine` has it: an LFSR on the Vector Engine before NeuronCore-v4, else XORWOW."""
    count = use.chip.limits.pmax
    if use.engine is engine.vector and use.chip.nc_version < 4:
        return Lfsr.seeded(seed, count)
    return Xorwow.seeded(seed, count, state_words(use) // WORDS)


def generator(use: Use) -> Lfsr | Xorwow:
    """The generator of the engine that `use` runs on; before it is seeded, its start differs by engine and core."""
    bank = use.core.generators
    if use.engine not in bank:
        bank[use.engine] = seeded(use, POWER_UP + use.engine.value + (use.core.index << 8))
    return bank[use.engine]


def lanes(tile: Any) -> slice:
    """The lanes of an engine that `tile` occupies: one per partition."""
    return slice(tile.start_partition, tile.start_partition + tile.partitions)


def draw(use: Use) -> np.ndarray:
    """The next 32 random bits for each element of `use.dst`: uint32 (P, elements). Lanes without an element stay."""
    whole = generator(use)
    state, used = whole.state.copy(), lanes(use.dst)
    part = type(whole)(state[used])
    drawn = part.draw(use.dst.elements)
    state[used] = part.state
    whole.state = state
    return drawn


def state_cost(use: Use, words: int) -> Cost:
    """`words` per lane into or out of a generator; no rate is public, so that of a copy is taken."""
    if use.engine is engine.gpsimd:
        return inferred(gpsimd_cost(use, words))
    return inferred(vector_cost(use, words, "cycles_per_element_fp32_copy"))


def random_cost(use: Use) -> Cost:
    """One value for each element of `use.dst`."""
    if use.engine is engine.gpsimd:
        return inferred(gpsimd_cost(use, use.dst.elements))
    if use.chip.nc_version < 4:
        # no rate is public for rng itself; dropout, too, draws one value for each element
        return inferred(vector_cost(use, use.dst.elements, "cycles_per_element_dropout"))
    table, elements = use.chip.cost.vector, use.dst.elements
    cycles = use.chip.cost.access_static_cycles + elements / table.rand2_values_per_cycle
    tiers = tiers_of(use, "vector.rand2_values_per_cycle", "access_static_cycles", "vector.drain_ns")
    return addressed(use, Cost("vector", cycles_ns(use, "vector", cycles), table.drain_ns, tiers, elements=elements))
