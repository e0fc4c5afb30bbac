"""`torch_xla.core.xla_model`, which programs of before torch_xla 2.5 use (aws-neuron/nki-samples, src/nki_samples/tutorials)."""

from __future__ import annotations

import torch

from opentrn.bridges.torch_xla import device, sync

__all__ = ["mark_step", "xla_device"]


def xla_device(n: int | None = None, devkind: str | None = None) -> torch.device:
    """The CPU."""
    return device(n)


def mark_step(wait: bool = False) -> None:
    """Nothing: see `sync`."""
    sync(wait)
