"""Brings in the caller of a framework's arrays when one of them arrives in a kernel call.

An entry point, like `install`: it stands outside of the rooms because `nki`, which needs it, is below `bridges`. The
imports are statements, since PyTorch's compiler follows those and not `import_module` (PyTorch 2.13), and the first call
of a kernel may be one that it traces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["caller"]


def caller(framework: str) -> Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]:
    """What calls a kernel with arrays of ``"torch"`` or ``"jax"``, which may be tracing or differentiating."""
    if framework == "torch":
        from opentrn.bridges import torch as bridge
    else:
        from opentrn.bridges import jax as bridge
    return bridge.call
