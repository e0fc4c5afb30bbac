"""Numbers that `neuronxcc.nki.language` names: limits of dtypes and of tiles (SDK 2.26)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np

from opentrn.nki.beta1.dtypes import name_of
from opentrn.nki.beta1.index import mgrid
from opentrn.nki.language.tile_size import tile_size
from opentrn.numerics.dtypes import DTYPES

__all__ = ["bfp16", "finfo", "fp32", "gemm_grid", "gemm_stationary_grid", "sizeinbytes", "tile_size"]


def finfo(dtype: Any) -> Any:
    """What numpy.finfo gives, for NKI's floating types too."""
    return ml_dtypes.finfo(DTYPES[name_of(dtype)].carrier)


def sizeinbytes(dtype: Any) -> int:
    """The bytes of one element; public kernels import it from `neuronxcc.nki.language.constants`."""
    return DTYPES[name_of(dtype)].itemsize


def gemm_grid() -> Any:
    """Index expressions over the largest result (and moving operand) of a matrix product."""
    return mgrid[0 : tile_size.pmax, 0 : tile_size.gemm_moving_fmax]


def gemm_stationary_grid() -> Any:
    """Index expressions over the largest stationary operand."""
    return mgrid[0 : tile_size.pmax, 0 : tile_size.gemm_stationary_fmax]


fp32 = SimpleNamespace(min=float(np.finfo(np.float32).min))
"""nl.fp32.min is the bit pattern 0xff7fffff."""

bfp16 = SimpleNamespace(min=-np.inf)
"""nl.bfp16.min is the bit pattern 0xff80, minus infinity."""
