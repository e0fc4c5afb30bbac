"""rand2: uniform random numbers on the Vector Engine (NeuronCore-v4)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.errors import KernelError
from opentrn.isa import enums
from opentrn.isa.generators import draw, random_cost
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
    traits=("per_core",),
    since=4,
)
def rand2(dst, min, max, name=None):
    """Write uniform random numbers between ``min`` and ``max`` (numbers or (P, 1) tiles) into ``dst``.

    Drawn as float32 from the Vector Engine's XORWOW generator, one value for each element, then rounded to ``dst``'s
    dtype (any float or an 8-, 16- or 32-bit integer). Raises KernelError where a ``min`` tile is not below ``max``.
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
    # float64, so that max - min does not overflow and one rounding gives the float32
    low, high = (np.asarray(value(limit), np.float64) for limit in (use.min, use.max))
    if not (low < high).all():
        raise KernelError("rand2 has an empty range", got=f"min={low.max()}, max={high.min()}", expected="min < max")
    unit = (draw(use) >> np.uint32(8)) * 2.0**-24
    use.dst.store((low + unit * (high - low)).astype(np.float32))


@rand2.cost
def _(use: Use) -> Cost:
    return random_cost(use)


rand2.differ(
    "A number is min + u * (max - min), rounded to float32, with u the upper 24 of 32 random bits as a fraction; how "
    "the hardware makes numbers from its bits is not public.",
)


@rand2.shown
def _(m: SimpleNamespace) -> Any:
    def uniform(like: Any) -> Any:
        tile = m.nl.ndarray(like.shape, dtype=m.nl.float32, buffer=m.nl.sbuf)
        m.nisa.rand2(dst=tile, min=-1.0, max=1.0)
        out = m.nl.ndarray(like.shape, dtype=m.nl.float32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return uniform, (m.np.zeros((4, 8), m.np.float32),)
