"""The public enumerations of `nki.isa` and the memory regions of `nki.language` (NKI 0.6, SDK 2.32)."""

from __future__ import annotations

from enum import Enum, IntEnum

__all__ = [
    "MemoryRegion",
    "dge_mode",
    "dma_engine",
    "engine",
    "matmul_perf_mode",
    "nc_version",
    "oob_mode",
    "reduce_cmd",
]


class engine(Enum):
    """The engines of a NeuronCore; `unknown` leaves the choice to the compiler."""

    unknown = 0
    tensor = 1
    scalar = 2
    gpsimd = 3
    dma = 4
    vector = 5
    sync = 6


class reduce_cmd(Enum):
    """What an instruction does with its engine's accumulator registers."""

    idle = 0
    reset = 1
    reduce = 2
    reset_reduce = 3
    load_reduce = 4


class dge_mode(Enum):
    """Who makes the DMA descriptors: nobody at run time (`none`), GpSimd software, the hardware DGE block."""

    unknown = 0
    swdge = 1
    hwdge = 2
    none = 3


class oob_mode(Enum):
    """What a DMA does with an index out of bounds: raise, or leave that transfer out."""

    error = 0
    skip = 1


class matmul_perf_mode(Enum):
    """Tensor Engine performance mode."""

    none = "none"
    double_row = "double_row"


class nc_version(IntEnum):
    """NeuronCore generation. An IntEnum because public kernels order it and compare it with ints."""

    gen2 = 2
    gen3 = 3
    gen4 = 4


class dma_engine(Enum):
    """Which DMA engine a `sendrecv` uses."""

    dma = 1
    gpsimd_dma = 2


class MemoryRegion(Enum):
    """Where a tensor lives. `nl.hbm` is `private_hbm` (public alias)."""

    sbuf = "sbuf"
    psum = "psum"
    private_hbm = "private_hbm"
    shared_hbm = "shared_hbm"

    __hash__ = object.__hash__  # members are unique; that of Enum is a Python function

    def __init__(self, value: str) -> None:
        self.on_chip = value in ("sbuf", "psum")
        """True for SBUF and PSUM, the memories with partitions."""

    @property
    def is_hbm(self) -> bool:
        """True for both kinds of HBM."""
        return not self.on_chip
