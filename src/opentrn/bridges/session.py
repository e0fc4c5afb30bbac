"""`opentrn.session`: every kernel call of a program, with its predicted time, what bounds it, findings and errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from opentrn.bridges.calls import call_of, filled
from opentrn.bridges.compare import conform, deviation
from opentrn.checks.finding import Finding
from opentrn.errors import LaunchError
from opentrn.machine.chip import load_chip
from opentrn.nki import settings
from opentrn.nki.arrays import ShapeDtype, kind_of
from opentrn.nki.check import check
from opentrn.nki.inputs import fresh
from opentrn.nki.kernel import Kernel
from opentrn.nki.kernel import start as launch
from opentrn.nki.launch import Report
from opentrn.nki.profile import Launch, Launches, profiling

__all__ = ["Deviation", "Session", "Values", "session"]

Values = Literal["simulate", "reference", "both"]

TOLERANCE = 0.01
"""Largest deviation from the reference, as a share of the reference's largest magnitude, that passes in silence."""


@dataclass(frozen=True)
class Deviation:
    """How far one call was from its reference: largest absolute difference over largest magnitude; inf for other NaNs.

    `call` counts all kernel calls of the session from 1.
    """

    call: int
    kernel: str
    error: float


@dataclass
class Session:
    """What a program's kernel calls were. `str` gives the table, `to_dict` data, `write_html` a page with the timelines.

    `launches` has one entry for each kernel, chip and signature, with `count` and the `report` of `opentrn.profile`;
    `findings` those of `opentrn.check` for it, by the same index; `deviations` one entry for each call that was compared.
    """

    launches: Launches
    tolerance: float = TOLERANCE
    findings: list[list[Finding]] = field(default_factory=list)
    deviations: list[Deviation] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """Kernel calls so far."""
        return sum(launch.count for launch in self.launches)

    @property
    def latency_us(self) -> float:
        """Predicted microseconds of all calls on the chip, one after the other."""
        return sum(launch.report.latency_us * launch.count for launch in self.launches)

    @property
    def first_deviation(self) -> Deviation | None:
        """The first call whose error exceeds the tolerance."""
        return next((each for each in self.deviations if not each.error <= self.tolerance), None)

    def to_dict(self) -> dict[str, Any]:
        """The session as JSON data; see `summary`."""
        from opentrn.bridges.summary import to_data

        return to_data(self)

    def write_html(self, path: str | os.PathLike[str]) -> None:
        """One self-contained page: the table, and the timeline of every launch. Raises FileError."""
        from opentrn.bridges.summary import write_html

        write_html(path, self)

    def __str__(self) -> str:
        from opentrn.bridges.summary import text  # made of a session, so it cannot be imported before it

        return text(self)


@contextmanager
def session(
    *,
    target: str | None = None,
    values: Values = "simulate",
    references: Mapping[Kernel, Callable[..., Any]] | None = None,
    tolerance: float = TOLERANCE,
    findings: bool = True,
) -> Iterator[Session]:
    """Gather every kernel call inside the ``with`` block: eager, compiled by torch or JAX, or with numpy arrays.

    `target` names the chip for the block (as NEURON_PLATFORM_TARGET_OVERRIDE does). With `values` "reference" a kernel
    that has one in `references` is not simulated: the function is called with the same arguments and gives the results
    (inside compiled JAX code it is given numpy arrays); with "both" it is called on copies, and the simulated values are
    compared with it. `findings` runs `opentrn.check` once for each signature. Raises LaunchError for other `values`,
    MachineError for a chip or cost that no public source gives.

    >>> with opentrn.session(target="trn2") as s:
    ...     model(x)
    >>> print(s)
    """
    if values not in get_args(Values):
        raise LaunchError(
            "opentrn.session", got=f"values={values!r}", expected=" or ".join(map(repr, get_args(Values)))
        )
    known = {kernel.func if isinstance(kernel, Kernel) else kernel: f for kernel, f in (references or {}).items()}
    made = _Gathering(values, known, findings)
    with _target(target), profiling(start=made.start) as launches:
        made.session = Session(launches, tolerance)
        yield made.session


@contextmanager
def _target(name: str | None) -> Iterator[None]:
    """The chip, for launches that name none: what compiled programs and other threads launch is meant too."""
    variable = settings.TARGET_VARIABLE
    before = os.environ.get(variable)
    if name is not None:
        os.environ[variable] = load_chip(name).name
    try:
        yield
    finally:
        if name is not None:
            os.environ.pop(variable)
            os.environ.update({variable: before} if before is not None else {})


class _Gathering:
    """Launches for `profiling`, with values from where the session wants them."""

    session: Session

    def __init__(self, values: Values, references: Mapping[Any, Callable[..., Any]], findings: bool) -> None:
        self.values, self.references, self.findings = values, references, findings

    def start(
        self,
        kernel: Kernel,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        options: Mapping[str, Any],
        first: Launch | None,
    ) -> Report:
        reference = self.references.get(kernel.func) if options.get("data", True) else None
        found = self._check(kernel, args, kwargs, options) if first is None else []
        if reference is None or self.values == "simulate":
            report = launch(kernel, args, kwargs, options)
        elif self.values == "reference":
            report = _by_reference(reference, kernel, args, kwargs, options, first)
        else:
            report = self._compared(reference, kernel, args, kwargs, options)
        if first is None:
            self.session.findings.append(found)
        return report

    def _check(self, kernel: Kernel, args: Any, kwargs: Any, options: Mapping[str, Any]) -> list[Finding]:
        """Findings of a call, on copies of its arguments (before the call, which may change them)."""
        return check(kernel, target=options.get("target"))(*args, **kwargs) if self.findings else []

    def _compared(
        self, reference: Callable[..., Any], kernel: Kernel, args: Any, kwargs: Any, options: Mapping[str, Any]
    ) -> Report:
        given, named = fresh((args, kwargs))
        expected = reference(*given, **named)
        report = launch(kernel, args, kwargs, options)
        error = deviation((report.results, args, kwargs), (expected, given, named))
        self.session.deviations.append(Deviation(self.session.calls + 1, kernel.__name__, error))
        return report


def _by_reference(
    reference: Callable[..., Any],
    kernel: Kernel,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: Mapping[str, Any],
    first: Launch | None,
) -> Report:
    """The report of a launch without data, with the results of `reference`."""
    report = launch(kernel, args, kwargs, {**options, "data": False}) if first is None else first.report.launch
    made, arrays = call_of(kernel, args, kwargs, lambda value: kind_of(value) is not None)
    shapes = [ShapeDtype(array.shape, array.dtype) for array in arrays]
    plan = made.plan(shapes)
    like = filled(plan.result, shapes, plan.outputs)
    results = conform(reference(*args, **kwargs), like, kernel.__name__)
    return replace(report, results=results, stored=[arrays[n] for n in plan.written])
