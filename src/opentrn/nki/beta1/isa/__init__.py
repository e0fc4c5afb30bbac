"""`neuronxcc.nki.isa`: the value-returning instructions of NKI beta 1 (SDK 2.20 to 2.26), also with ``dst=``."""

from __future__ import annotations

from opentrn.isa.enums import matmul_perf_mode
from opentrn.nki.beta1.isa import compute, constants, data
from opentrn.nki.beta1.isa.compute import *  # noqa: F403
from opentrn.nki.beta1.isa.constants import dge_mode, dma_engine, engine, nc_version, oob_mode, reduce_cmd
from opentrn.nki.beta1.isa.data import *  # noqa: F403
from opentrn.nki.beta1.isa.matrix import nc_matmul, nc_transpose
from opentrn.nki.beta1.language.constants import fp32
from opentrn.nki.isa import get_nc_version

tensor_engine, vector_engine, scalar_engine = engine.tensor, engine.vector, engine.scalar
gpsimd_engine, unknown_engine = engine.gpsimd, engine.unknown

__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    "constants", "dge_mode", "dma_engine", "engine", "fp32", "get_nc_version", "gpsimd_engine", "matmul_perf_mode",
    "nc_matmul", "nc_transpose", "nc_version", "oob_mode", "reduce_cmd", "scalar_engine", "tensor_engine", "unknown_engine",
    "vector_engine", *compute.__all__, *data.__all__,
]  # fmt: skip
