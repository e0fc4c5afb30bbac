"""Random numbers and dropout, on the Vector Engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentrn.errors import LaunchError
from opentrn.isa.enums import MemoryRegion
from opentrn.nki.functions import nisa
from opentrn.nki.language.compose import op, scalar, typed
from opentrn.nki.language.memory import ndarray, pieces
from opentrn.nki.tensor import NkiTensor
from opentrn.program.recorder import ACTIVE
from opentrn.program.site import user_site
from opentrn.program.view import View

__all__ = ["dropout", "rand", "random_seed"]

BITS = 24
"""Random bits per number: what a float32 holds exactly."""


def random_seed(seed: View) -> None:
    """Seed the generator that `rand` draws from with the 32 bits of a (1, 1) tile (nl.random_seed, SDK 2.32)."""
    if not isinstance(seed, View):
        raise LaunchError("nl.random_seed", site=user_site(), got=repr(seed), expected="a (1, 1) tile in SBUF or PSUM",
                          hint="nl.full((1, 1), 42, dtype=nl.int32, buffer=nl.sbuf)")  # fmt: skip
    nisa.set_rng_seed(src_seeds=seed)


def rand(shape: Sequence[int], dtype: Any, buffer: Any = MemoryRegion.sbuf, name: str = "") -> NkiTensor:
    """A new tensor of uniform random numbers in [0, 1), rounded once to `dtype` (nl.rand, SDK 2.32)."""
    out = ndarray(shape, dtype, buffer, name)
    if out.on_chip:
        _draw(out)
        return out
    for part, rows, columns in pieces(out):
        tile = ndarray((rows, columns), dtype)
        _draw(tile)
        nisa.dma_copy(dst=part, src=tile)
    return out


def _draw(dst: View) -> None:
    assert ACTIVE.recorder is not None  # ndarray has checked it
    if ACTIVE.recorder.chip.nc_version >= 4:
        nisa.rand2(dst=dst, min=0.0, max=1.0)
        return
    bits = ndarray(dst.shape, "uint32")
    nisa.rng(dst=bits)
    upper = scalar(bits, "right_shift", 32 - BITS, "uint32")
    nisa.tensor_scalar(dst=dst, data=upper, op0=op("multiply"), operand0=2.0**-BITS)


def dropout(x: View, rate: Any, dtype: Any = None) -> Any:
    """`x` with each element zeroed with probability `rate`, a number or a (P, 1) tile (nl.dropout, SDK 2.32)."""
    out = ndarray(x.shape, x.dtype)
    nisa.dropout(dst=out, data=x, prob=rate)
    return typed(out, dtype or x.dtype)
