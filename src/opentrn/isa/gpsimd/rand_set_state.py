"""rand_set_state: set the state of a random generator."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.isa import enums
from opentrn.isa.generators import STATE_ORDER, generator, lanes, state_cost, state_words
from opentrn.isa.spec import SBUF, Broken, Cost, Use, instruction, of


@instruction(
    operands={"src_seeds": of(SBUF, dtypes=frozenset({"uint32"}))},
    engines=(enums.engine.gpsimd, enums.engine.vector),
    page="nki.isa.rand_set_state (SDK 2.32)",
    traits=("per_core",),
    since=3,
)
def rand_set_state(src_seeds, engine=enums.engine.gpsimd, name=None):
    """Set the XORWOW state of each lane from its partition of ``src_seeds``: 6 words on GpSimd, 24 on Vector.

    ``src_seeds`` is a 2-D uint32 tile in SBUF. Lanes beyond its partitions keep their state. The Vector Engine takes a
    state, four XORWOW states for each lane, from NeuronCore-v4 on.
    """


@rand_set_state.rule("c1", "documented", "the Vector Engine has a settable state from NeuronCore-v4 on")
def _(use: Use) -> None:
    if use.engine is enums.engine.vector and use.chip.nc_version < 4:
        raise Broken(f"vector on {use.chip.name}", "gpsimd, or trn3")


@rand_set_state.rule("c2", "documented", "a 2-D tile with 6 words per partition on GpSimd, 24 on the Vector Engine")
def _(use: Use) -> None:
    if len(use.src_seeds.shape) != 2 or use.src_seeds.elements != state_words(use):
        raise Broken(str(use.src_seeds.shape), f"(lanes, {state_words(use)})")


@rand_set_state.meaning
def _(use: Use) -> None:
    made: Any = generator(use)
    state = made.state
    state[lanes(use.src_seeds)] = use.src_seeds.raw()
    made.state = state


@rand_set_state.cost
def _(use: Use) -> Cost:
    return state_cost(use, use.src_seeds.elements)


rand_set_state.differ(STATE_ORDER)


@rand_set_state.shown
def _(m: SimpleNamespace) -> Any:
    def seeded(seeds: Any) -> Any:
        tile = m.nl.load(seeds)
        m.nisa.rand_set_state(src_seeds=tile)
        drawn = m.nl.ndarray((seeds.shape[0], 8), dtype=m.nl.uint32, buffer=m.nl.sbuf)
        m.nisa.rng(dst=drawn, engine=m.nisa.engine.gpsimd)
        out = m.nl.ndarray(drawn.shape, dtype=m.nl.uint32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=drawn)
        return out

    return seeded, (m.np.arange(1, 25, dtype=m.np.uint32).reshape(4, 6),)
