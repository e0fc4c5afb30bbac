"""`nki.language`: data types, memories, tensors, loops and operators of NKI kernels (NKI 0.6, SDK 2.32)."""

from __future__ import annotations

import builtins
from typing import Any

from opentrn.isa.enums import MemoryRegion
from opentrn.nki.compat import deprecated
from opentrn.nki.compat.v0_2 import GONE, NAMES
from opentrn.nki.language import dtypes
from opentrn.nki.language.constants import shared_constant, shared_identity_matrix
from opentrn.nki.language.matrix import *  # noqa: F403
from opentrn.nki.language.memory import *  # noqa: F403
from opentrn.nki.language.normalize import *  # noqa: F403
from opentrn.nki.language.ops import *  # noqa: F403
from opentrn.nki.language.random import *  # noqa: F403
from opentrn.nki.language.reduce import *  # noqa: F403
from opentrn.nki.language.shapes import *  # noqa: F403
from opentrn.nki.language.spmd import *  # noqa: F403
from opentrn.nki.language.tile_size import _TileSize, tile_size
from opentrn.nki.language.types import *  # noqa: F403
from opentrn.nki.objects import NKIObject
from opentrn.nki.tensor import NkiTensor

sbuf, psum = MemoryRegion.sbuf, MemoryRegion.psum
private_hbm, shared_hbm = MemoryRegion.private_hbm, MemoryRegion.shared_hbm
hbm = private_hbm

# public kernels of NKI 0.2 and 0.3 write nl.range and nl.bool
range = builtins.range
bool = bool_  # type: ignore[name-defined]  # noqa: F405


def __getattr__(name: str) -> Any:
    """Sizes of older versions; any other name does not exist, and one that did says what to write."""
    if name == "par_dim":  # public kernels of NKI 0.2 write it; nki-library left it off later (release notes)
        deprecated(
            "nl.par_dim is a spelling of old versions of NKI: leave it out, dimension 0 is the partition dimension"
        )
        return int
    if name not in NAMES:
        advice = f" since NKI 0.2: {GONE[name]}" if name in GONE else ""
        raise AttributeError(f"module 'nki.language' has no attribute {name!r}{advice}", name=name)
    deprecated(f"nl.{name} is a spelling of old versions of NKI: write nl.tile_size.{NAMES[name]}")
    return getattr(tile_size, NAMES[name])
