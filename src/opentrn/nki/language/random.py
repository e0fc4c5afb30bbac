"""Random numbers and dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentrn.isa.enums import MemoryRegion
from opentrn.nki.functions import nisa
from opentrn.nki.language import ops
from opentrn.nki.language.memory import assign, ndarray
from opentrn.numerics.dtypes import dtype as dtype_of
from opentrn.program.recorder import ACTIVE
from opentrn.program.view import View

__all__ = ["dropout", "rand", "random_seed"]


def random_seed(seed: View) -> None:
    """Seed the Vector Engine's generator with a [1, 1] tile of 32 bits."""
    nisa.set_rng_seed(seed)


def rand(shape: Sequence[int], dtype: Any, buffer: Any = MemoryRegion.sbuf, name: str = "") -> Any:
    """A new tensor of uniform random numbers in [0, 1): by rand2 on trn3, by rng and a division before."""
    out = ndarray(shape, dtype, buffer, name)
    tile = out if out.on_chip else ndarray(shape, dtype)
    assert ACTIVE.recorder is not None
    if ACTIVE.recorder.chip.nc_version >= 4:
        nisa.rand2(tile, 0.0, 1.0)
    else:
        bits = ndarray(tile.shape, "uint16")
        nisa.rng(bits)
        nisa.tensor_scalar(tile, bits, ops.multiply, 2.0**-16)
    if tile is not out:
        assign(out, tile)
    return out


def dropout(x: View, rate: Any, dtype: Any = None) -> Any:
    """`x` with each element zeroed with probability `rate`."""
    out = ndarray(x.shape, x.dtype)
    nisa.dropout(out, x, rate)
    if dtype is None or dtype_of(dtype).name == x.dtype:
        return out
    cast = ndarray(x.shape, dtype)
    nisa.tensor_copy(cast, out)
    return cast
