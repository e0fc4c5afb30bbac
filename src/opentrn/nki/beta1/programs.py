"""The programs of a launch grid: run one after the other on their core, and met only in nl.all_reduce.

"The different instances of the SPMD program are executed serially on a single NeuronCore" (programming_model.rst, SDK
2.26). A program runs in a thread of its own, because all_reduce needs the tiles of programs that come later; only one
thread runs at a time, and which one never depends on the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Semaphore, Thread
from typing import Any

from opentrn.errors import LaunchError, UnsupportedError
from opentrn.isa.enums import MemoryRegion
from opentrn.nki.beta1 import state
from opentrn.nki.beta1.dtypes import name_of
from opentrn.nki.beta1.home import Home
from opentrn.nki.beta1.index import is_whole
from opentrn.nki.beta1.instruction import copy_into, tile_operand
from opentrn.nki.beta1.operators import operator_of
from opentrn.nki.beta1.tensor import Tensor
from opentrn.nki.functions import nisa
from opentrn.nki.launch import INSIDE
from opentrn.program.recorder import active
from opentrn.program.site import user_site

__all__ = ["all_reduce", "run_programs"]


class _Cancelled(BaseException):
    """Ends the thread of a program after another one failed."""


class _Program:
    """One program: a thread that runs only while `resume` waits for it."""

    def __init__(self, body: Callable[[], Any], place: tuple[int, ...]) -> None:
        self.place, self.count, self.cursor = place, 0, 0
        self.asked: Any = None
        self.answer: Any = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = self.cancelled = False
        self._go, self._back = Semaphore(0), Semaphore(0)
        self._thread = Thread(target=self._run, args=(body,), daemon=True)

    def _run(self, body: Callable[[], Any]) -> None:
        INSIDE.kernel = True
        self._go.acquire()
        try:
            self.result = body()
            state.settle()
        except _Cancelled:
            pass
        except BaseException as error:
            self.error = error
        self.done = True
        self._back.release()

    def resume(self, run: state.State) -> None:
        """Let it run until it ends or asks for something."""
        run.program, run.count, run.cursor, run.programs = self.place, self.count, self.cursor, self
        if self._thread.ident is None:
            self._thread.start()
        self._go.release()
        self._back.acquire()
        self.count, self.cursor = run.count, run.cursor

    def ask(self, request: Any) -> Any:
        """Called in its thread: stop until there is an answer."""
        self.asked = request
        self._back.release()
        self._go.acquire()
        if self.cancelled:
            raise _Cancelled
        return self.answer


def run_programs(body: Callable[[], Any], places: list[tuple[int, ...]]) -> Any:
    """Run `body` for each place of the grid; gives back what the first one returns."""
    run = state.now()
    if len(places) == 1:
        run.program = places[0]
        made = body()
        state.settle()
        return made
    programs = [_Program(body, place) for place in places]
    try:
        for program in programs:
            program.resume(run)
            if program.error is not None:
                raise program.error
        while waiting := [p for p in programs if not p.done]:
            _answer(waiting, len(programs))
            for program in waiting:
                program.resume(run)
                if program.error is not None:
                    raise program.error
    finally:
        for program in programs:
            if not program.done and program._thread.ident is not None:
                program.cancelled = True
                program._go.release()
        run.programs = None
    return programs[0].result


def _answer(waiting: list[_Program], count: int) -> None:
    """Reduce the tiles of programs that differ only on the reduced axes."""
    if len(waiting) != count:
        raise LaunchError(
            "nl.all_reduce", got=f"called by {len(waiting)} of {count} programs", expected="every program of the grid"
        )
    groups: dict[tuple[int, ...], list[_Program]] = {}
    for program in waiting:
        axes = program.asked[2]
        groups.setdefault(tuple(n for a, n in enumerate(program.place) if a not in axes), []).append(program)
    for members in groups.values():
        total = _reduced([m.asked for m in members])
        for member in members:
            member.answer = total


def _reduced(asked: list[Any]) -> Tensor:
    tile, op, _, kind, place = asked[0]
    total = Tensor(Home(tile.shape, kind, MemoryRegion.sbuf))

    def record() -> None:
        copy_into(total, tile)
        for other, *_ in asked[1:]:
            nisa.tensor_tensor(dst=total.view_in(), data1=total.view_in(), data2=other.view_in(), op=op)

    state.at(place, record)
    return total


def all_reduce(
    x: Any, op: Any, program_axes: Any, *, dtype: Any = None, mask: Any = None, parallel_reduce: bool = True,
    asynchronous: bool = False, **_options: Any,
) -> Tensor:  # fmt: skip
    """`x` of all programs along axes of the grid, combined by `op` (nl.all_reduce, SDK 2.26)."""
    tile = tile_operand(x, "nl.all_reduce")
    run = state.now()
    axes = (program_axes,) if is_whole(program_axes) else tuple(program_axes)
    if any(not is_whole(a) or not 0 <= a < len(run.grid) for a in axes):
        raise LaunchError(
            "nl.all_reduce", site=user_site(), got=f"axes {program_axes}", expected=f"axes of the grid {run.grid}"
        )
    if mask is not None or active("nl.all_reduce").state.lockstep.count > 1:
        raise UnsupportedError(
            "nl.all_reduce with a mask, or over several cores", site=user_site(), expected="one core, no mask"
        )
    state.settle()
    request = (tile, operator_of(op), axes, name_of(dtype or tile.home.dtype), state.here())
    if run.programs is None:
        return _reduced([request])
    return run.programs.ask(request)
