"""`ProfileReport`: everything a timeline says about a kernel, as data. `profile_report` makes it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np

from opentrn.machine.change import asked_of
from opentrn.profile.advice import Advice, advise
from opentrn.profile.amounts import US
from opentrn.profile.bounds import Bound, Roofline, bounds, overheads, roofline
from opentrn.profile.critical import CriticalPath, critical_path
from opentrn.profile.engines import Engine, engines, engines_of
from opentrn.profile.lines import Line, lines
from opentrn.profile.provenance import band, shares
from opentrn.profile.stalls import Stall, stalls
from opentrn.profile.traffic import Traffic, traffic
from opentrn.timing.timeline import Timeline

__all__ = ["ProfileReport", "advice_for", "profile_report", "to_data"]

_HIDDEN: dict[str, Any] = {"compare": False, "metadata": {"data": False}}


@dataclass(frozen=True, repr=False)
class ProfileReport:
    """How long a kernel takes, where the time goes and what bounds it. Times in microseconds, shares of `latency_us`.

    `latency_band_us` is (low, high) by the provenance of the numbers used. `engines` sums the cores, `per_core` has one
    dictionary each. `bounds` climbs from the ideal to the actual time; `verdict` says in words what bounds the kernel.
    `changes` are those of a what-if, such as ``dma=2x``. `reorder` is how many instructions of its engine a store was let
    pass (0: none; see `timing.reorder`).
    `results` are what the kernel returned (None without data), `launch` the launch's own report, `traces` the recorded
    programs (for a what-if); these and `timeline` are not part of `to_dict`.
    """

    kernel: str
    target: str
    cores: int
    changes: tuple[str, ...]
    reorder: int
    latency_us: float
    latency_band_us: tuple[float, float]
    instruction_count: int
    verdict: str
    engines: dict[str, Engine]
    per_core: tuple[dict[str, Engine], ...]
    dma: Traffic
    bounds: dict[str, Bound]
    overheads: dict[str, float]
    roofline: Roofline
    critical: CriticalPath
    stalls: tuple[Stall, ...]
    lines: tuple[Line, ...]
    provenance: dict[str, float]
    advice: tuple[Advice, ...]
    timeline: Timeline = field(**_HIDDEN)
    results: Any = field(default=None, **_HIDDEN)
    launch: Any = field(default=None, **_HIDDEN)
    traces: Any = field(default=(), **_HIDDEN)

    def to_dict(self) -> dict[str, Any]:
        """The report as dictionaries, lists, numbers and text, under the names of its fields; JSON can hold it."""
        return to_data(self)

    def __repr__(self) -> str:
        return f"<profile of {self.kernel} on {self.target}: {self.latency_us:.2f} us; print it to read it>"

    def __str__(self) -> str:
        from opentrn.profile.text import summary  # text is made of a report, so it cannot be imported before it

        return summary(self)


def profile_report(
    timeline: Timeline,
    kernel: str = "kernel",
    *,
    results: Any = None,
    launch: Any = None,
    traces: Any = (),
    reorder: int = 0,
) -> ProfileReport:
    """Everything that can be learned from `timeline`, timed with `reorder`. Numbers only: nothing is run again."""
    path, chip = critical_path(timeline), timeline.chip
    by_tier = shares(timeline, path.segments)
    latency, limits = timeline.total_ns * US, bounds(timeline)
    found = ProfileReport(
        kernel=kernel,
        target=chip.name,
        cores=timeline.cores,
        changes=asked_of(chip),
        reorder=reorder,
        latency_us=latency,
        latency_band_us=band(timeline, by_tier),
        instruction_count=len(timeline),
        verdict=_verdict(limits, path),
        engines=engines(timeline),
        per_core=tuple(engines_of(timeline, core) for core in range(timeline.cores)),
        dma=traffic(timeline),
        bounds=limits,
        overheads=overheads(timeline),
        roofline=roofline(timeline),
        critical=path,
        stalls=stalls(timeline),
        lines=lines(timeline, path.segments),
        provenance=by_tier,
        advice=(),
        timeline=timeline,
        results=results,
        launch=launch,
        traces=traces,
    )
    return replace(found, advice=advise(found))


@dataclass(frozen=True)
class _Basis:
    """What advice is made from: those fields of a `ProfileReport`, without the rest that costs time."""

    latency_us: float
    cores: int
    engines: dict[str, Engine]
    dma: Traffic
    overheads: dict[str, float]
    critical: CriticalPath
    stalls: tuple[Stall, ...]
    timeline: Timeline


def advice_for(timeline: Timeline) -> tuple[Advice, ...]:
    """`ProfileReport.advice` alone."""
    return advise(
        _Basis(
            timeline.total_ns * US,
            timeline.cores,
            engines(timeline),
            traffic(timeline),
            overheads(timeline),
            critical_path(timeline),
            stalls(timeline),
            timeline,
        )
    )


_CLOSE = 0.75
"""A lower bound of at least this share of the actual time is what bounds the kernel."""

_BOUND_BY = {
    "memory": "HBM bandwidth",
    "traffic": "HBM bandwidth, for bytes that it moves more than once",
    "dependency": "latency: each instruction waits for the one before it",
}


def _verdict(limits: dict[str, Bound], path: CriticalPath) -> str:
    """What bounds the kernel: the first lower bound that is close to the actual time, else where most of it went."""
    close = [name for name in limits if name != "actual" and limits[name].share >= _CLOSE]
    if close:
        first = limits[close[0]]
        return f"bound by {_BOUND_BY.get(close[0], first.text)} (at least {first.share:.0%} of the time)"
    if not path.by_engine:
        return "nothing to bound: it took no time"
    works, waits = path.by_engine[0], path.by_cause[0]
    return (
        f"no single limit: of the critical path {works.name} takes {works.share:.0%},"
        f" and {waits.share:.0%} is handed on through {waits.name}"
    )


def to_data(value: Any) -> Any:
    """Dataclasses as dictionaries (without fields marked ``data=False``), tuples as lists, numpy numbers as Python's."""
    if is_dataclass(value) and not isinstance(value, type):
        kept = (each.name for each in fields(value) if each.metadata.get("data", True))
        return {name: to_data(getattr(value, name)) for name in kept}
    if isinstance(value, dict):
        return {str(key): to_data(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_data(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
