"""The call that PyTorch's compiler does not look into: it traces the operators behind it. Imported while it compiles."""

from __future__ import annotations

import warnings
from typing import Any

import torch._dynamo
from torch._dynamo.symbolic_convert import InstructionTranslator

from opentrn.bridges import torch as bridge
from opentrn.errors import CompileError, OpentrnError
from opentrn.nki.arrays import rebuilt
from opentrn.nki.kernel import KERNELS, Kernel

__all__ = ["traced"]

_dispatched: Any = torch.compiler.disable(bridge.dispatched)  # where the graph breaks here, it runs as it is


_NOTHING = int.from_bytes(b"nothing")
"""Stands for None: an opaque call may take and give tensors and numbers alone (PyTorch 2.13)."""


def traced(kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`bridges.torch.call` under torch.compile and torch.export."""
    given, named = _exchanged((args, kwargs), None, _NOTHING)
    return _exchanged(_opaque(kernel.number, given, named), _NOTHING, None)


@torch._dynamo.nonstrict_trace
def _opaque(kernel: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The compiler replaces errors by a text of its own, all but an IndexError, or goes on with a graph break (PyTorch 2.13).

    So they reach the user as CompileError where the graph has to be whole, else as a warning.
    """
    try:
        given, named = _exchanged((args, kwargs), _NOTHING, None)
        return _exchanged(_dispatched(KERNELS[kernel], given, named), None, _NOTHING)
    except OpentrnError as error:
        if _whole_graph():
            raise CompileError(
                error.what, site=error.site, got=error.got, expected=error.expected, hint=error.hint
            ) from error
        warnings.warn(str(error), stacklevel=2)
        raise


def _whole_graph() -> bool:
    """The compiler is at work, with fullgraph=True."""
    return bool(getattr(getattr(InstructionTranslator, "current_tx", lambda: None)(), "one_graph", False))


def _exchanged(value: Any, old: int | None, new: int | None) -> Any:
    """Arguments or a result with `new` in the places of `old`."""
    if isinstance(value, (tuple, list, dict)):
        return rebuilt(value, lambda item: _exchanged(item, old, new))
    return new if (value is None or isinstance(value, int)) and value == old else value
