"""What one run of a kernel has going: the instruction whose destination is not known yet, and the launch grid.

A value-returning call does not say where its result goes: into a new tile, or, when the very next thing is an assignment,
straight into the destination. So the last such call waits (`Order`) until the next one, in program order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from sys import _getframe
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from opentrn.nki.functions import nisa
from opentrn.program.recorder import active

if TYPE_CHECKING:
    from opentrn.nki.beta1.home import Home

__all__ = ["State", "at", "dropped", "fill", "here", "now", "pending", "placed", "settle", "traced", "wait"]


@dataclass
class State:
    """The state of one core. `grid` are the sizes of the launch grid, `program` the coordinates of this program in it."""

    held: Home | None = None
    grid: tuple[int, ...] = ()
    program: tuple[int, ...] = ()
    shared: list[Any] = field(default_factory=list)
    """Shared-HBM tensors of the first program; the others get the same ones, in the same order."""
    count: int = 0
    placements: list[tuple[Any, Any]] = field(default_factory=list)
    """(line, placement) of the tensors placed by hand so far, in the order of the program with each loop body once."""
    cursor: int = 0
    """Where in `placements` the program is: a loop's body starts where its first iteration did."""
    spills: bool = False
    """PSUM tensors with block dimensions are kept in SBUF, because PSUM cannot hold them (see `kernel`)."""
    spilled: int = 0
    wrote_arguments: bool = False
    automatic: bool = False
    """Tensors go where the allocator puts them, whatever the kernel says (ncc.force_auto_alloc)."""
    programs: Any = None
    """Who runs the programs of the grid (see `programs`); None outside of a grid."""


_STATES: WeakKeyDictionary[Any, State] = WeakKeyDictionary()


def now() -> State:
    """The state of the core that runs."""
    core = active("neuronxcc.nki").state
    found = _STATES.get(core)
    if found is None:
        found = _STATES[core] = State()
    return found


def placed(line: Any, placement: Any) -> Any:
    """The placement of a tensor placed by hand at `line`: in later iterations of a loop that of the first one.

    NKI traces the body of affine_range and sequential_range once, so an address that a kernel counts up in Python is
    counted once; public kernels rely on it (nki-samples, reference/allocated_attention.py).
    """
    run = now()
    known = run.placements
    at = next((n for n in range(run.cursor, len(known)) if known[n][0] == line), None)
    if at is None:
        at = len(known)
        known.append((line, placement))
    run.cursor = at + 1
    return known[at][1]


def traced(values: Iterable[int]) -> Iterator[int]:
    """The iterations of a loop whose body the older compiler traces once."""
    run = now()
    start = run.cursor
    for value in values:
        run.cursor = start
        yield value


def here(depth: int = 1) -> Any:
    """The user's line, as a recorder keeps it."""
    return active("neuronxcc.nki").place(_getframe(depth))


def at(place: Any, action: Callable[[], Any]) -> Any:
    """Run `action` so that what it records, and its errors, belong to the user's line `place`."""
    code, line = place
    return _springboard(code.co_filename, code.co_name, line)(action)


@cache
def _springboard(file: str, name: str, line: int) -> Callable[[Callable[[], Any]], Any]:
    """A function that calls its argument, whose one line is `line` of the user's `file`."""
    scope: dict[str, Any] = {}
    exec(compile("\n" * (line - 1) + "def jump(action): return action()", file, "exec"), scope)
    jump = scope["jump"]
    jump.__code__ = jump.__code__.replace(co_name=name, co_qualname=name)
    return jump


def wait(home: Home) -> None:
    """Let the order of `home` wait for its destination; the one before it waits no longer."""
    state = now()
    settle()
    state.held = home


def pending(home: Home) -> bool:
    """True when the order of `home` is the one that waits."""
    return home.order is not None and now().held is home


def settle() -> None:
    """Record the waiting order, into a tile of its own. Everything that records calls this first."""
    state = now()
    waiting, state.held = state.held, None
    if waiting is not None and waiting.order is not None:
        waiting.order, order = None, waiting.order
        at(order.place, order.alone)


def dropped(home: Home) -> None:
    """The order of `home` was recorded into another place."""
    home.order = None
    now().held = None


def fill(view: Any, value: float) -> None:
    """Write one number into a tile."""
    nisa.memset(dst=view, value=value)
