"""`nki.isa`: one function per instruction, made from the descriptions in `opentrn.isa`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentrn.errors import NkiValidationError
from opentrn.isa.enums import (
    dge_mode,
    dma_engine,
    engine,
    matmul_perf_mode,
    nc_version,
    oob_mode,
    reduce_cmd,
)
from opentrn.machine.chip import load_chip
from opentrn.nki import settings
from opentrn.nki.functions import FUNCTIONS, OLD_FUNCTIONS
from opentrn.nki.language.ops import equal, maximum
from opentrn.nki.objects import NKIObject
from opentrn.nki.registers import VirtualRegister, register_alloc, register_load, register_move, register_store
from opentrn.nki.tensor import NkiTensor
from opentrn.program.recorder import ACTIVE, NkiInstruction

tensor_engine, vector_engine, scalar_engine = engine.tensor, engine.vector, engine.scalar
gpsimd_engine, unknown_engine = engine.gpsimd, engine.unknown


def get_nc_version() -> nc_version:
    """The NeuronCore generation of the target: gen2, gen3 or gen4."""
    recorder = ACTIVE.recorder
    chip = recorder.chip if recorder is not None else load_chip(settings.read().target)
    return nc_version(chip.nc_version)


def get_nc_sub_version() -> int:
    """The silicon revision within the generation; 0 (the documented default) for every modelled chip."""
    return 0


globals().update(FUNCTIONS | OLD_FUNCTIONS)

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "NKIObject",
    "NkiInstruction",
    "NkiTensor",
    "NkiValidationError",
    "VirtualRegister",
    "dge_mode",
    "dma_engine",
    "engine",
    "equal",
    "get_nc_sub_version",
    "get_nc_version",
    "gpsimd_engine",
    "matmul_perf_mode",
    "maximum",
    "nc_version",
    "oob_mode",
    "reduce_cmd",
    "register_alloc",
    "register_load",
    "register_move",
    "register_store",
    "scalar_engine",
    "tensor_engine",
    "unknown_engine",
    "vector_engine",
    *FUNCTIONS,
]
