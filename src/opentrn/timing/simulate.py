"""`simulate`: when everything in a recorded program happens on a chip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from opentrn.errors import KernelError
from opentrn.program.site import site_of
from opentrn.program.trace import Trace
from opentrn.timing import native
from opentrn.timing.assemble import Assembly, last_done
from opentrn.timing.lower import Classes, classes_of, columns_of, machine_of
from opentrn.timing.reorder import reordered
from opentrn.timing.timeline import ENGINES, Timeline

__all__ = ["simulate"]


def simulate(traces: Sequence[Trace], chip: Any, *, reorder: int = 0, compiled: bool | None = None) -> Timeline:
    """Run one program per core through the event loop of `chip`.

    With `reorder` above 0 stores are triggered up to so many instructions later (see `timing.reorder`); rows of the
    timeline are then in that order.

    `chip` may be another machine than the one the program was recorded for (a changed one, for what-if questions).
    Raises KernelError with the chain of waits when the program can never end, MachineError where a cost has no public
    number.
    """
    traces = [reordered(trace, chip, reorder, compiled=compiled) for trace in traces]
    steps = [step for trace in traces for step in trace.steps]
    classes = classes_of(steps, chip)
    firsts = np.cumsum([0, *(len(t.steps) for t in traces)])
    cores = [columns_of(t, chip, int(first)) for t, first in zip(traces, firsts, strict=False)]
    machine = machine_of(chip, classes)
    runs = []
    for phase in _phases(machine, classes):
        results, stuck = native.run(machine | {"clock_phase_ns": phase}, classes, cores, compiled=compiled)
        if stuck:
            raise _deadlock(traces, stuck)
        runs.append((last_done(results, machine), len(runs), results))
        if runs[0][0] > PHASED_WINDOWS * machine["clock_window_ns"]:
            break
    middle = sorted(runs, key=lambda run: run[:2])[len(runs) // 2][2]
    ends = [last for last, _, _ in runs]
    return Assembly(traces, chip, machine, classes, steps, cores, middle).timeline(ends)


PHASES, PHASED_WINDOWS = 5, 300
"""The clock's windows run free of the kernel's start, so a short kernel is timed at several phases and the median taken."""


def _phases(machine: dict[str, Any], classes: Classes) -> list[float]:
    """Ends of the clock's first window, the whole window first; one where the clock cannot matter."""
    window, matters = machine["clock_window_ns"], machine["clock_threshold"] > 0 and (classes.engine == 0).any()
    return [window * (PHASES - k) / PHASES for k in range(PHASES if matters else 1)]


def _deadlock(traces: Sequence[Trace], stuck: Sequence[tuple[int, int, int, int]]) -> KernelError:
    def named(core: int, row: int) -> str:
        trace = traces[core]
        step = trace.steps[trace.step[row]]
        return f"nisa.{step.instruction.name} ({site_of(trace.places[trace.place[row]])})"

    chain = []
    for core, engine, row, other in stuck:
        waits = "the other core" if other < 0 else named(core, other)
        chain.append(f"core {core} {ENGINES[engine]}: {named(core, row)} waits for {waits}")
    core, _, row, _ = stuck[0]
    return KernelError(
        "the program can never end: every engine waits",
        kind="meeting",
        site=site_of(traces[core].places[traces[core].place[row]]),
        got="\n            ".join(chain),
        expected="barriers and sendrecvs that both cores reach, in the same order",
    )
