"""`nki.language`: data types, memories, tensors, loops and operators of NKI kernels (NKI 0.6, SDK 2.32)."""

from __future__ import annotations

from builtins import range

from opentrn.isa.enums import MemoryRegion
from opentrn.nki.language.memory import *
from opentrn.nki.language.ops import *
from opentrn.nki.language.spmd import *
from opentrn.nki.language.tile_size import tile_size
from opentrn.nki.language.types import *
from opentrn.nki.objects import NKIObject
from opentrn.nki.tensor import NkiTensor

sbuf, psum = MemoryRegion.sbuf, MemoryRegion.psum
private_hbm, shared_hbm = MemoryRegion.private_hbm, MemoryRegion.shared_hbm
hbm = private_hbm
