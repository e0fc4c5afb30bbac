"""rand_get_state: get the state of a random generator."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.isa import enums
from opentrn.isa.costs import in_psum
from opentrn.isa.generators import STATE_ORDER, generator, lanes, state_cost, state_words
from opentrn.isa.spec import Broken, Cost, Use, instruction, into


@instruction(
    operands={"dst": into(dtypes=frozenset({"uint32"}))},
    engines=(enums.engine.gpsimd, enums.engine.vector),
    page="nki.isa.rand_get_state (SDK 2.32)",
    traits=("per_core",),
    since=3,
)
def rand_get_state(dst, engine=enums.engine.gpsimd, name=None):
    """Write the XORWOW state of each lane into its partition of ``dst``: 6 words on GpSimd, 24 on the Vector Engine.

    ``dst`` is a 2-D uint32 tile in SBUF (from NeuronCore-v4 on, for the Vector Engine, also in PSUM). `rand_set_state`
    with these words continues the same sequence. The Vector Engine gives its state from NeuronCore-v4 on.
    """


@rand_get_state.rule("c1", "documented", "the Vector Engine has a readable state from NeuronCore-v4 on")
def _(use: Use) -> None:
    if use.engine is enums.engine.vector and use.chip.nc_version < 4:
        raise Broken(f"vector on {use.chip.name}", "gpsimd, or trn3")


@rand_get_state.rule("c2", "documented", "a 2-D tile with 6 words per partition on GpSimd, 24 on the Vector Engine")
def _(use: Use) -> None:
    if len(use.dst.shape) != 2 or use.dst.elements != state_words(use):
        raise Broken(str(use.dst.shape), f"(lanes, {state_words(use)})")


@rand_get_state.rule("c3", "documented", "GpSimd, and NeuronCore-v3, write to SBUF only")
def _(use: Use) -> None:
    if in_psum(use.dst) and (use.engine is enums.engine.gpsimd or use.chip.nc_version < 4):
        raise Broken("dst in PSUM", "dst in SBUF")


@rand_get_state.meaning
def _(use: Use) -> None:
    made: Any = generator(use)
    use.dst.put(made.state[lanes(use.dst)])


@rand_get_state.cost
def _(use: Use) -> Cost:
    return state_cost(use, use.dst.elements)


rand_get_state.differ(STATE_ORDER)


@rand_get_state.shown
def _(m: SimpleNamespace) -> Any:
    def state(like: Any) -> Any:
        tile = m.nl.ndarray((4, 6), dtype=m.nl.uint32, buffer=m.nl.sbuf)
        m.nisa.rand_get_state(dst=tile)
        out = m.nl.ndarray((4, 6), dtype=m.nl.uint32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return state, (m.np.zeros((1, 1), m.np.float32),)
