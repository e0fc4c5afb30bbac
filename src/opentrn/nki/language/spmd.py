"""Where this core stands in the launch, loops, and slices."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from opentrn.errors import KernelError, LaunchError
from opentrn.nki.compat import accepts_older, deprecated
from opentrn.nki.compat.v0_5 import LOOPS
from opentrn.nki.registers import VirtualRegister
from opentrn.program.recorder import ACTIVE, active
from opentrn.program.site import user_site
from opentrn.program.trace import Loop
from opentrn.program.view import DynamicSlice, View

__all__ = [
    "affine_range", "device_print", "ds", "dynamic_range", "fori_loop", "no_reorder", "num_programs", "program_id",
    "program_ndim", "sequential_range", "static_range", "while_loop",
]  # fmt: skip


_FIXED_ORDER: WeakSet[Any] = WeakSet()
"""Cores that are inside nl.no_reorder()."""


def program_id(axis: int = 0) -> int:
    """The index of this core along the launch axis (axis 0: the cores of the logical NeuronCore)."""
    core = active("nl.program_id").state
    _axis("program_id", axis)
    return core.index


def num_programs(axes: Any = 0) -> int:
    """The number of cores in the launch."""
    core = active("nl.num_programs").state
    for axis in axes if isinstance(axes, (tuple, list)) else (axes,):
        _axis("num_programs", axis)
    return core.lockstep.cores


def _axis(what: str, axis: Any) -> None:
    if axis not in (0, None):
        raise LaunchError(f"nl.{what}", site=user_site(2), got=f"axis {axis!r}",
                          expected="0, the one axis of the launch (the cores of the LNC)")  # fmt: skip


def program_ndim() -> int:
    """Dimensions of the launch: 1 for kernel[2], 0 without a grid."""
    return 1 if active("nl.program_ndim").state.lockstep.cores > 1 else 0


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


class Range(Sequence[int]):
    """A range that notes where its iterations begin (`Trace.loops`)."""

    def __init__(self, trips: range) -> None:
        self.trips = trips

    def __len__(self) -> int:
        return len(self.trips)

    def __getitem__(self, index: Any) -> Any:
        return self.trips[index]

    def __iter__(self) -> Iterator[int]:
        return _iterations("affine_range", self.trips)

    def __eq__(self, other: object) -> bool:
        return self.trips == (other.trips if isinstance(other, Range) else other)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return repr(self.trips)


@contextmanager
def _loop(kind: str) -> Iterator[Callable[[], None]]:
    """A loop of the kernel; what it yields is to be called at the beginning of each iteration."""
    recorder = active(f"nl.{kind}")
    core, loop = recorder.state, Loop(kind, recorder.place(sys._getframe(2)))
    if core.mode.trace:
        recorder.loops.append(loop)

    def begin() -> None:
        loop.starts.append(recorder.count)
        core.tick()

    try:
        yield begin
    finally:
        loop.end = recorder.count


def _iterations(kind: str, trips: range) -> Iterator[int]:
    with _loop(kind) as begin:
        for i in trips:
            begin()
            yield i


@accepts_older("nl.affine_range")
def affine_range(start: int, stop: int | None = None, step: int = 1) -> range:
    """Python's range, unrolled (deprecated in NKI 0.6: use range). Where programs are kept, so are its iterations."""
    trips, recorder = _static(start, stop, step), ACTIVE.recorder
    return Range(trips) if recorder is not None and recorder.state.mode.trace else trips  # type: ignore[return-value]


@accepts_older("nl.sequential_range")
def sequential_range(start: int, stop: int | None = None, step: int = 1) -> range:
    """Python's range, unrolled (deprecated in NKI 0.6: use range)."""
    return _static(start, stop, step)


@accepts_older("nl.static_range")
def static_range(start: int, stop: int | None = None, step: int = 1) -> range:
    """Python's range, unrolled (deprecated in NKI 0.6: use range)."""
    return _static(start, stop, step)


def _value(bound: Any) -> int:
    if isinstance(bound, VirtualRegister):
        return bound.read()
    if isinstance(bound, View):
        return int(active("nl.dynamic_range").state.scalar(bound))
    return _whole(bound, "loop bound")


def _whole(value: Any, what: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise LaunchError(what, site=user_site(2), got=repr(value), expected="an integer or a register")
    return value.__index__()


def _trips(what: str, start: Any, stop: Any, step: Any) -> range:
    core = active(f"nl.{what}").state
    if isinstance(step, bool) or not isinstance(step, int) or step < 1:
        raise LaunchError(f"nl.{what} step", site=user_site(2), got=repr(step), expected="a positive integer")
    if core in _FIXED_ORDER:
        raise KernelError(f"nl.{what} inside nl.no_reorder()", site=user_site(2),
                          expected="static loops only (nl.no_reorder, SDK 2.32)")  # fmt: skip
    return range(_value(start), _value(stop), step)


def dynamic_range(start: Any, stop: Any = None, step: int = 1) -> Iterator[VirtualRegister]:
    """A loop on the device; bounds may be registers, the variable is a frozen register (deprecated in NKI 0.6)."""
    deprecated(LOOPS["dynamic_range"])
    first, last = (0, start) if stop is None else (start, stop)
    trips = _iterations("dynamic_range", _trips("dynamic_range", first, last, step))
    return (VirtualRegister(i, frozen=True) for i in trips)


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[VirtualRegister], Any], step: int = 1) -> None:
    """Run ``body_fun(i)`` for i from `lower` to `upper` (exclusive) on the device; `i` is a register of its own."""
    for i in _iterations("fori_loop", _trips("fori_loop", lower, upper, step)):
        if body_fun(VirtualRegister(i)) is not None:
            raise LaunchError("nl.fori_loop body", site=user_site(), got="a returned value", expected="None",
                              hint="keep state in SBUF or HBM")  # fmt: skip


def while_loop(init: VirtualRegister, body_fun: Callable[[VirtualRegister], VirtualRegister]) -> None:
    """While the register is not zero, run `body_fun` on a copy of it; what it returns is the next condition."""
    _trips("while_loop", 0, 0, 1)
    register = _condition(init, "init")
    with _loop("while_loop") as begin:
        while register.read():
            begin()
            register = _condition(body_fun(VirtualRegister(register.read())), "body")


def _condition(value: Any, what: str) -> VirtualRegister:
    if not isinstance(value, VirtualRegister):
        raise LaunchError(f"nl.while_loop {what}", site=user_site(2), got=repr(value), expected="a register")
    return value


@contextmanager
def no_reorder() -> Iterator[None]:
    """A region whose instructions keep program order, also under ``reorder=N``. Dynamic loops are refused in it."""
    recorder = active("nl.no_reorder")
    core, first = recorder.state, recorder.count
    outermost = core not in _FIXED_ORDER
    _FIXED_ORDER.add(core)
    try:
        yield
    finally:
        if outermost:
            _FIXED_ORDER.discard(core)
            recorder.fixed.append((first, recorder.count))


def device_print(print_prefix: str, tensor: Any) -> None:
    """Print the prefix and the tensor's values."""
    active("nl.device_print")
    if not isinstance(print_prefix, str):
        raise LaunchError("nl.device_print prefix", site=user_site(), got=repr(print_prefix)[:100], expected="a string")
    print(f"{print_prefix} {tensor}")
