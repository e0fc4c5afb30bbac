"""Stand-in for `torch_xla` where that is not installed: its device is the CPU, and nothing waits to be synchronised.

Only what AWS's pages on kernels use (nki/guides, SDK 2.32); every other name is missing, and asking for it says so.
"""

from __future__ import annotations

import torch

__all__ = ["device", "sync"]


def device(index: int | None = None) -> torch.device:
    """The CPU."""
    return torch.device("cpu")


def sync(wait: bool = False, reset_scope: bool = True) -> None:
    """Nothing: PyTorch on the CPU runs each operator at once."""
