"""`torch_neuronx.nki_hop`: the name under which some programs reach `wrap_nki`."""

from __future__ import annotations

from opentrn.bridges.torch import wrap_nki

__all__ = ["wrap_nki"]
