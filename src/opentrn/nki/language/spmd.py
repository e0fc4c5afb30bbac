"""Where this core stands in the launch, loops, and slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from opentrn.errors import LaunchError
from opentrn.nki.registers import VirtualRegister
from opentrn.program.recorder import ACTIVE
from opentrn.program.site import user_site
from opentrn.program.view import DynamicSlice, View

__all__ = [
    "affine_range", "device_print", "ds", "dynamic_range", "fori_loop", "no_reorder", "num_programs", "program_id",
    "program_ndim", "sequential_range", "static_range", "while_loop",
]  # fmt: skip


def _core(what: str) -> Any:
    if ACTIVE.recorder is None:
        raise LaunchError(f"nl.{what} was called outside a kernel", site=user_site(2))
    return ACTIVE.recorder.state


def program_id(axis: int = 0) -> int:
    """The index of this core along the launch axis (axis 0: the cores of the logical NeuronCore)."""
    core = _core("program_id")
    return core.index if axis == 0 else 0


def num_programs(axes: Any = 0) -> int:
    """The number of cores in the launch."""
    return _core("num_programs").lockstep.count


def program_ndim() -> int:
    """Dimensions of the launch: 1 for kernel[2], 0 without a grid."""
    return 1 if _core("program_ndim").lockstep.count > 1 else 0


def ds(start: Any, size: int) -> slice | DynamicSlice:
    """The slice ``start : start + size``; `start` may be a register or a (1, 1) tensor."""
    if isinstance(start, (View, VirtualRegister)):
        return DynamicSlice(start, size)
    return slice(start, start + size)


def _static(start: Any, stop: Any, step: int) -> range:
    if any(isinstance(v, (View, VirtualRegister)) for v in (start, stop, step)):
        raise LaunchError(
            "a static range over a run-time bound",
            site=user_site(2),
            got="a register or tensor",
            expected="integers",
            hint="use nl.fori_loop or nl.dynamic_range",
        )
    return range(start) if stop is None else range(start, stop, step)


def affine_range(start: int, stop: int | None = None, step: int = 1, **_old: Any) -> range:
    """Python's range, unrolled (deprecated in NKI 0.6: use range)."""
    return _static(start, stop, step)


def sequential_range(start: int, stop: int | None = None, step: int = 1, **_old: Any) -> range:
    """Python's range, unrolled (deprecated in NKI 0.6: use range)."""
    return _static(start, stop, step)


def static_range(start: int, stop: int | None = None, step: int = 1, **_old: Any) -> range:
    """Python's range, unrolled (deprecated in NKI 0.6: use range)."""
    return _static(start, stop, step)


def _value(bound: Any) -> int:
    if isinstance(bound, VirtualRegister):
        return bound.read()
    if isinstance(bound, View):
        return int(_core("dynamic_range").scalar(bound))
    return int(bound)


def dynamic_range(start: Any, stop: Any = None, step: int = 1) -> Iterator[VirtualRegister]:
    """A loop on the device; bounds may be registers, the variable is a frozen register."""
    if isinstance(step, bool) or not isinstance(step, int) or step < 1:
        raise LaunchError("nl.dynamic_range step", site=user_site(), got=repr(step), expected="a positive integer")
    first, last = (0, _value(start)) if stop is None else (_value(start), _value(stop))
    return (VirtualRegister(i, frozen=True) for i in range(first, last, step))


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[VirtualRegister], Any], step: int = 1) -> None:
    """Run ``body_fun(i)`` for i from `lower` to `upper` (exclusive) on the device."""
    for i in dynamic_range(lower, upper, step):
        body_fun(VirtualRegister(i.read()))


def while_loop(init: VirtualRegister, body_fun: Callable[[VirtualRegister], VirtualRegister]) -> None:
    """While the register is not zero, run `body_fun` on it; what it returns is the next condition."""
    register = init
    while register.read():
        register = body_fun(VirtualRegister(register.read()))
        if not isinstance(register, VirtualRegister):
            raise LaunchError("nl.while_loop body", site=user_site(), got=repr(register), expected="a register")


def no_reorder() -> AbstractContextManager[None]:
    """A region whose instructions keep program order; instructions here always do."""
    _core("no_reorder")
    return nullcontext()


def device_print(print_prefix: str, tensor: Any) -> None:
    """Print the prefix and the tensor's values."""
    _core("device_print")
    print(f"{print_prefix} {tensor}")
