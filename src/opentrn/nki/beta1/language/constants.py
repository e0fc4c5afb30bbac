"""Numbers that `neuronxcc.nki.language` names: limits of dtypes and of tiles (SDK 2.26)."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from opentrn.nki.language.tile_size import tile_size

__all__ = ["bfp16", "fp32", "tile_size"]

fp32 = SimpleNamespace(min=float(np.finfo(np.float32).min))
"""nl.fp32.min is the bit pattern 0xff7fffff."""

bfp16 = SimpleNamespace(min=-np.inf)
"""nl.bfp16.min is the bit pattern 0xff80, minus infinity."""
