"""`nki.isa.constants`: where NKI 0.2 and 0.3 kept the enumerations of `nki.isa`; the same objects."""

from __future__ import annotations

from opentrn.isa.enums import dge_mode, dma_engine, engine, matmul_perf_mode, nc_version, oob_mode, reduce_cmd

__all__ = ["dge_mode", "dma_engine", "engine", "matmul_perf_mode", "nc_version", "oob_mode", "reduce_cmd"]
