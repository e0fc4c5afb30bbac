"""`neuronxcc.nki.isa.constants`: the enumerations under their older address."""

from __future__ import annotations

from opentrn.isa.enums import dge_mode, dma_engine, engine, nc_version, oob_mode, reduce_cmd

__all__ = ["dge_mode", "dma_engine", "engine", "nc_version", "oob_mode", "reduce_cmd"]
