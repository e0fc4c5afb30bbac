"""Virtual registers and the instructions that move scalars into and out of them.

While a kernel is recorded its values are computed on demand, so a register always has a known value; loops whose bounds
are registers run as the device would run them. Where shapes alone are recorded, a register that was loaded from a tensor
is unknown: it serves as an address (any element of the tensor may be meant), and whatever else needs it (a loop bound,
a condition, an attribute) raises UnsupportedError. Registers with known values still steer loops.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from opentrn.errors import KernelError, LaunchError, UnsupportedError
from opentrn.nki.compat import accepts_older, deprecated
from opentrn.nki.compat.v0_5 import LOOPS
from opentrn.nki.objects import NKIObject
from opentrn.program.recorder import ACTIVE, active
from opentrn.program.site import user_site
from opentrn.program.view import View

__all__ = ["VirtualRegister", "register_alloc", "register_load", "register_move", "register_store"]

FIRST, END = -(2**31), 2**32


class _Unknown:
    """The state of a register that holds a value nobody computed."""

    def __repr__(self) -> str:
        return "unknown"


UNKNOWN = _Unknown()


class VirtualRegister(NKIObject):
    """A 32-bit scalar of an engine sequencer (nki.isa.VirtualRegister). `frozen` ones are loop variables."""

    is_register = True

    def __init__(self, state: int | _Unknown | None = None, frozen: bool = False) -> None:
        self.state, self.frozen = state, frozen

    def read(self) -> int:
        """The value. KernelError when none was ever moved in, UnsupportedError when it is unknown."""
        if isinstance(self.state, _Unknown):
            raise UnsupportedError(
                "the value of a register that was loaded from a tensor needs values, and the kernel is recorded with shapes alone",
                site=user_site(),
                hint='use mode="values"; as an address alone (nl.ds, select, ap) the register would do',
            )
        if ACTIVE.recorder is not None:
            ACTIVE.recorder.state.tick()
        if self.state is None:
            raise KernelError(
                "a register is read before it has a value",
                site=user_site(),
                hint="nisa.register_alloc(0), register_move or register_load first",
            )
        return self.state

    def write(self, value: int | _Unknown) -> None:
        """Set the value; loop variables are frozen."""
        if self.frozen:
            raise KernelError(
                "the induction variable of a dynamic loop cannot be written",
                site=user_site(2),
                hint="carry state in another register or in SBUF",
            )
        if not isinstance(value, _Unknown) and not FIRST <= value < END:
            raise KernelError("value does not fit a register", site=user_site(2), got=str(value), expected="32 bits")
        if self.state is not None and ACTIVE.recorder is not None:
            ACTIVE.recorder.flush()  # what is recorded still addresses through the old value
        self.state = value

    def __bool__(self) -> bool:
        deprecated(LOOPS["while"])
        return self.read() != 0

    def __repr__(self) -> str:
        return f"VirtualRegister({self.state})"

    def __eq__(self, other: object) -> bool:
        return self is other  # a register is a place, not its value

    __hash__ = object.__hash__


def _register(value: Any, what: str) -> VirtualRegister:
    if not isinstance(value, VirtualRegister):
        raise LaunchError(
            f"{what} is not a register",
            site=user_site(2),
            got=repr(value),
            expected="a register from nisa.register_alloc()",
        )
    return value


def _single(tensor: Any, what: str) -> View:
    if not isinstance(tensor, View) or tensor.size != 1:
        got = f"shape {tensor.shape}" if isinstance(tensor, View) else repr(tensor)
        raise LaunchError(what, site=user_site(2), got=got, expected="a tensor with exactly one element")
    return tensor


def register_alloc(x: int | None = None) -> VirtualRegister:
    """A new register, holding `x` (an int, another register or a one-element tensor) unless it is None."""
    made = VirtualRegister()
    if isinstance(x, View):
        register_load(made, x)
    elif x is not None:
        register_move(made, x)
    return made


@accepts_older("nisa.register_move")
def register_move(dst: VirtualRegister, src: Any) -> None:
    """Copy an integer or another register into `dst`."""
    if isinstance(src, VirtualRegister):
        value = UNKNOWN if src.state is UNKNOWN else src.read()
    elif isinstance(src, (int, np.integer)) and not isinstance(src, bool):
        value = int(src)
    else:
        raise LaunchError("register_move", site=user_site(), got=repr(src), expected="an integer or a register")
    _register(dst, "dst").write(value)


def register_load(dst: VirtualRegister, src: View) -> None:
    """Load the single element of a tensor in HBM or SBUF into `dst`; computes what it depends on."""
    core = active("nisa.register_load").state
    tensor = _single(src, "register_load")
    _register(dst, "dst").write(int(core.scalar(tensor)) if core.mode.data else UNKNOWN)


def register_store(dst: View, src: VirtualRegister) -> None:
    """Write a register into a one-element tensor in HBM or SBUF."""
    core = active("nisa.register_store").state
    tensor, register = _single(dst, "register_store"), _register(src, "src")
    if core.mode.data:
        core.store_scalar(tensor, register.read())
