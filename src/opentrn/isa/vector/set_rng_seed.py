"""set_rng_seed: seed the Vector Engine's generator."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import enums
from opentrn.isa.generators import seeded, state_cost
from opentrn.isa.spec import Broken, Cost, Use, instruction, of


@instruction(
    operands={"src_seeds": of(dtypes=frozenset({"int32", "uint32", "float32"}))},
    engines=(enums.engine.vector,),
    page="nki.isa.set_rng_seed (SDK 2.32)",
    traits=("per_core",),
)
def set_rng_seed(src_seeds, name=None):
    """Seed the Vector Engine's random generator with the 32 bits of ``src_seeds``, a (1, 1) tile.

    The same seed gives the same numbers from `rng` on the Vector Engine (and from `rand2` and `dropout`, which draw
    from the same generator). ``src_seeds`` is an int32, uint32 or float32 tile in SBUF or PSUM.
    """


@set_rng_seed.rule("c1", "documented", "src_seeds is a (1, 1) tile")
def _(use: Use) -> None:
    if (use.src_seeds.partitions, use.src_seeds.elements) != (1, 1):
        raise Broken(str(use.src_seeds.shape), "(1, 1)")


@set_rng_seed.meaning
def _(use: Use) -> None:
    seed = int(use.src_seeds.raw().copy().view(np.uint32)[0, 0])
    use.core.generators[use.engine] = seeded(use, seed)


@set_rng_seed.cost
def _(use: Use) -> Cost:
    return state_cost(use, 1)


set_rng_seed.differ(
    "How the seed reaches the 128 lanes is not public: here each lane starts from its own hash of it.",
    "Whether dropout and rand2 draw from the generator that is seeded here is not public.",
)


@set_rng_seed.shown
def _(m: SimpleNamespace) -> Any:
    def seeded(seed: Any) -> Any:
        tile = m.nl.load(seed)
        m.nisa.set_rng_seed(src_seeds=tile)
        drawn = m.nl.ndarray((4, 8), dtype=m.nl.uint16, buffer=m.nl.sbuf)
        m.nisa.rng(dst=drawn)
        out = m.nl.ndarray((4, 8), dtype=m.nl.uint16, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=drawn)
        return out

    return seeded, (m.np.array([[42]], m.np.int32),)
