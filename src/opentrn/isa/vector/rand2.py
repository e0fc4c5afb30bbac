"""rand2: uniform random numbers on the Vector Engine (NeuronCore-v4)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import enums
from opentrn.isa.generators import generator
from opentrn.isa.meanings import value
from opentrn.isa.rules import column
from opentrn.isa.spec import Broken, Cost, Use, instruction, into, scalar_or

DTYPES = frozenset({
    "float8_e4m3", "float8_e5m2", "float16", "bfloat16", "float32", "tfloat32",
    "int8", "int16", "int32", "uint8", "uint16", "uint32",
})  # fmt: skip


@instruction(
    operands={
        "dst": into(dtypes=DTYPES),
        "min": scalar_or(dtypes=frozenset({"float32"})),
        "max": scalar_or(dtypes=frozenset({"float32"})),
    },
    engines=(enums.engine.vector,),
    page="nki.isa.rand2 (SDK 2.32)",
    since=4,
)
def rand2(dst, min, max, name=None):
    """Write uniform random numbers between ``min`` and ``max`` (numbers or (P, 1) tiles) into ``dst``.

    Drawn as float32 from the XORWOW generator, then rounded once to ``dst``'s dtype.
    """


@rand2.rule("c1", "documented", "min and max are numbers or (P, 1) tiles")
def _(use: Use) -> None:
    column(use.min, use.dst)
    column(use.max, use.dst)


@rand2.rule("c2", "documented", "min is less than max")
def _(use: Use) -> None:
    numbers = isinstance(use.min, (int, float)) and isinstance(use.max, (int, float))
    if numbers and not use.min < use.max:
        raise Broken(f"min={use.min}, max={use.max}", "min < max")


@rand2.meaning
def _(use: Use) -> None:
    dst = use.dst
    drawn = generator(use).draw(dst.elements)[dst.start_partition : dst.start_partition + dst.partitions]
    unit = (drawn >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)  # 24 bits: exact in float32, below 1
    low, high = value(use.min), value(use.max)
    dst.store(low + unit * (high - low))


@rand2.cost
def _(use: Use) -> Cost:
    table = use.chip.cost.vector
    ns = use.dst.elements / table.rand2_values_per_cycle / use.chip.engines.vector.clock_hz * 1e9
    return Cost("vector", ns, table.fixed_ns, (use.chip.quantity("cost.vector.rand2_values_per_cycle").tier,))


rand2.differ("Numbers lie in [min, max) with 24 random bits; how the hardware makes them from its bits is not public.")


@rand2.shown
def _(m: SimpleNamespace) -> Any:
    def uniform(like: Any) -> Any:
        tile = m.nl.ndarray(like.shape, dtype=m.nl.float32, buffer=m.nl.sbuf)
        m.nisa.rand2(dst=tile, min=-1.0, max=1.0)
        out = m.nl.ndarray(like.shape, dtype=m.nl.float32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return uniform, (m.np.zeros((4, 8), m.np.float32),)
