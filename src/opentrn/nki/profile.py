"""`opentrn.profile`: run a kernel, time its program on the chip, and report where the time goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from opentrn.errors import LaunchError
from opentrn.nki import kernel as kernels
from opentrn.nki import settings
from opentrn.nki.arrays import signature
from opentrn.nki.kernel import Kernel, simulate
from opentrn.nki.launch import Report
from opentrn.profile.report import ProfileReport, profile_report
from opentrn.timing.simulate import simulate as timed

__all__ = ["Launch", "Launches", "Starter", "launch_key", "profile", "profiling"]

MODES = ("values", "timing")


def profile(
    kernel: Any, *, mode: Literal["values", "timing"] = "values", target: str | None = None, reorder: int = 0
) -> Callable[..., ProfileReport]:
    """A callable that launches `kernel` (a kernel, ``kernel[2]`` or a plain function) and gives back a `ProfileReport`.

    ``mode="values"`` computes the results too (`ProfileReport.results`); ``mode="timing"`` needs and touches no data:
    arrays and `opentrn.ShapeDtype` serve alike, and results are `ShapeDtype`. `target` names the chip; without it the
    environment does (NEURON_PLATFORM_TARGET_OVERRIDE), else trn2. With `reorder` above 0 a store may be triggered up to
    so many instructions of its engine later than it was written, where that is legal (see `timing.reorder`); AWS's
    compiler does something of the kind, but no public source tells how far it goes. Raises LaunchError for another mode
    or a negative `reorder`, MachineError where the chip has no public number for a cost, and what the kernel raises.

    ``opentrn.profile(matmul[2], mode="timing")(ShapeDtype((8192, 4096), "bfloat16"), ...).latency_us``
    """
    if mode not in MODES:
        raise LaunchError("opentrn.profile", got=f"mode={mode!r}", expected=" or ".join(map(repr, MODES)))
    _check_reorder(reorder)
    made = simulate(kernel)

    def run(*args: Any, **kwargs: Any) -> ProfileReport:
        launched = made.report(args, kwargs, target=target, data=mode == "values", trace=True)
        return _reported(made, launched, reorder)

    return run


def _check_reorder(reorder: int) -> None:
    if isinstance(reorder, bool) or not isinstance(reorder, int) or reorder < 0:
        raise LaunchError(
            "opentrn.profile", got=f"reorder={reorder!r}", expected="how many instructions a store may pass, 0 or more"
        )


def _reported(kernel: Kernel, launched: Report, reorder: int) -> ProfileReport:
    traces = launched.traces or []
    timeline = timed(traces, launched.chip, reorder=reorder)
    facts = {"results": launched.results, "launch": launched, "traces": traces, "reorder": reorder}
    return profile_report(timeline, kernel.__name__, **facts)


@dataclass
class Launch:
    """A launch that `profiling` saw: the kernel with its first arguments, the report, and how often it was launched."""

    kernel: Kernel
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    report: ProfileReport
    count: int = 1

    def again(self, mode: Literal["values", "timing"] = "timing", **changes: Any) -> ProfileReport:
        """The same launch with some keyword arguments changed, by default without data."""
        report = self.report
        return profile(self.kernel, mode=mode, target=report.target, reorder=report.reorder)(
            *self.args, **(self.kwargs | changes)
        )


class Launches(list[Launch]):
    """What `profiling` saw, in order; `passed` names the kernels that were not asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: dict[str, None] = {}


Starter = Callable[[Kernel, tuple[Any, ...], dict[str, Any], Mapping[str, Any], "Launch | None"], Report]
"""Launches a kernel for `profiling`: kernel, arguments, options, and the first launch of its signature, if it was one."""


def _start(
    kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any], first: Launch | None
) -> Report:
    return kernels.start(kernel, args, kwargs, options)


@contextmanager
def profiling(name: str | None = None, *, reorder: int = 0, start: Starter = _start) -> Iterator[Launches]:
    """Profile every kernel launch inside the ``with`` block, or those of the kernel called `name`; `reorder` as in `profile`.

    Gives the list to which launches are added. A launch with a kernel, chip and signature (shapes, dtypes, other
    arguments) that was seen before runs without being timed again; it is counted. `start` launches; it must record a
    trace where ``options["trace"]`` says so.
    """
    _check_reorder(reorder)
    seen: dict[Any, Launch] = {}
    launches = Launches()

    def watch(kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]) -> Report:
        if name is not None and kernel.__name__ != name:
            launches.passed[kernel.__name__] = None
            return kernels.start(kernel, args, kwargs, options)
        key = launch_key(kernel, args, kwargs, options)
        if key in seen:
            launched = start(kernel, args, kwargs, options, seen[key])
            seen[key].count += 1
            return launched
        launched = start(kernel, args, kwargs, {**options, "trace": True}, None)
        seen[key] = Launch(kernel, args, kwargs, _reported(kernel, launched, reorder))
        launches.append(seen[key])
        return launched

    kernels.WATCHERS.append(watch)
    try:
        yield launches
    finally:
        kernels.WATCHERS.remove(watch)


def launch_key(
    kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]
) -> tuple[Any, ...]:
    """Equal for launches of one kernel on one chip whose arguments differ in the values of arrays alone."""
    chip = settings.read(options.get("target"), kernel.target).target
    return (kernel.func, kernel.lnc, chip, signature((args, kwargs)))
