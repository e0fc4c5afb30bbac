"""The door to the compiled core: `CORE` is the extension module, or None where the numpy path does everything.

`disable()` turns it off for the process (the surface does so on `OPENTRN_NATIVE=0`); `WHY` says why it is off.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from opentrn.isa.spec import Instruction, Use
from opentrn.numerics.dtypes import DTYPES

__all__ = ["available", "core", "disable", "plan", "why_not"]

_state: dict[str, Any] = {"core": None, "why": ""}


def _load() -> None:
    try:
        _state["core"] = import_module("opentrn._native")
    except ImportError as error:
        _state["why"] = (
            f"opentrn._native cannot be imported ({error}); it is built at install when a C++20 compiler is there"
        )


def core() -> Any:
    """The extension module, or None."""
    return _state["core"]


def available() -> bool:
    """True when the compiled core is in use."""
    return _state["core"] is not None


def why_not() -> str:
    """Why the compiled core is not in use; '' when it is."""
    return _state["why"]


def disable(reason: str) -> None:
    """Use the numpy path from now on."""
    _state.update(core=None, why=reason)


def plan(instruction: Instruction, use: Use, names: tuple[str, ...]) -> Any:
    """The native plan of one checked use, or None where its meaning has to run."""
    native = _state["core"]
    if native is None or instruction.lower is None:
        return None
    tensors = dict(use.tensors())
    if any(t.dynamic is not None for t in tensors.values()):
        return None
    lowered = instruction.lower(use)
    if lowered is None or lowered.operands != names:
        return None
    roles = lowered.roles or ["in" if instruction.operands[n].role == "in" else "out" for n in names]
    described = [_describe(tensors[n], role) for n, role in zip(names, roles, strict=True)]
    return native.plan(lowered.opcode, described, list(lowered.ints), list(lowered.floats))


def _describe(view: Any, role: str) -> tuple[int, tuple[int, ...], tuple[int, ...], str]:
    code = DTYPES["float32"].code if view.storage.wide and view.dt.is_float else view.dt.code
    return code, view.shape, view.strides, role


_load()
