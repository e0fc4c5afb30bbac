"""`nki.typing`: annotations of kernel parameters, e.g. ``nt.tensor[128, 512]``. They check nothing here."""

from __future__ import annotations

from typing import Any

__all__ = ["mutable_tensor", "tensor"]


class tensor:
    """A tensor parameter; ``tensor[shape]`` names its shape for the reader."""

    def __class_getitem__(cls, shape: Any) -> type:
        return cls


class mutable_tensor(tensor):
    """A tensor parameter that the kernel writes."""
