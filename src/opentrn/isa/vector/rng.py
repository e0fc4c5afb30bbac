"""rng: random bits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.isa import enums
from opentrn.isa.costs import in_psum
from opentrn.isa.generators import draw, random_cost
from opentrn.isa.spec import Broken, Cost, Use, instruction, into

INTEGERS = frozenset({"int8", "int16", "int32", "uint8", "uint16", "uint32"})


@instruction(
    operands={"dst": into(dtypes=INTEGERS)},
    engines=(enums.engine.vector, enums.engine.gpsimd),
    page="nki.isa.rng (SDK 2.32)",
    traits=("per_core",),
)
def rng(dst, engine=enums.engine.vector, name=None):
    """Write random bits into ``dst``, an 8-, 16- or 32-bit integer tile in SBUF or PSUM.

    32 bits are drawn for each element, and the lowest of them kept. The Vector Engine has a linear feedback shift
    register (XORWOW from NeuronCore-v4 on), which `set_rng_seed` seeds; GpSimd, from NeuronCore-v3 on and into SBUF
    only, has XORWOW, which `rand_set_state` seeds. Unseeded generators start the same way in every run.
    """


@rng.rule("c1", "documented", "GpSimd draws from NeuronCore-v3 on")
def _(use: Use) -> None:
    if use.engine is enums.engine.gpsimd and use.chip.nc_version < 3:
        raise Broken(f"gpsimd on {use.chip.name}", "trn2 or newer, or the vector engine")


@rng.rule("c2", "documented", "GpSimd writes to SBUF only")
def _(use: Use) -> None:
    if use.engine is enums.engine.gpsimd and in_psum(use.dst):
        raise Broken("dst in PSUM", "dst in SBUF, or the vector engine")


@rng.meaning
def _(use: Use) -> None:
    held = use.dst.held
    low = draw(use).astype(f"u{held.itemsize}")  # unsigned casts keep the lowest bits
    use.dst.put(low.view(held.carrier))


@rng.cost
def _(use: Use) -> Cost:
    return random_cost(use)


rng.differ(
    "The bits come from generators of ours: the polynomial of the Vector Engine's shift register, the state with which "
    "a core starts and the order in which elements take values are not public.",
    "Each lane has a sequence of its own, and only lanes that dst occupies move on.",
)


@rng.shown
def _(m: SimpleNamespace) -> Any:
    def bits(like: Any) -> Any:
        tile = m.nl.ndarray(like.shape, dtype=m.nl.uint32, buffer=m.nl.sbuf)
        m.nisa.rng(dst=tile)
        out = m.nl.ndarray(like.shape, dtype=m.nl.uint32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return bits, (m.np.zeros((4, 8), m.np.uint32),)
