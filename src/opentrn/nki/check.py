"""`opentrn.check`: run a kernel and report everything that would go wrong with it on the chip."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from opentrn.checks.evidence import Evidence, Notice
from opentrn.checks.finding import Finding
from opentrn.checks.look import Choice
from opentrn.checks.outcome import Looks
from opentrn.errors import Site
from opentrn.execute.scrutiny import Otherwise
from opentrn.nki import kernel as kernels
from opentrn.nki import ranks
from opentrn.nki.arrays import kind_of, leaves, told
from opentrn.nki.inputs import fresh
from opentrn.nki.kernel import Kernel, simulate, start
from opentrn.nki.launch import Call, Report
from opentrn.nki.profile import launch_key
from opentrn.nki.values import ORDINARY, Values

__all__ = ["LIMIT", "check", "checking", "evidence_of", "evidence_of_ranks"]

LIMIT = 2_000_000
"""Steps of one core after which a checked kernel counts as endless: more than any public kernel takes."""


def check(
    kernel: Any,
    *,
    target: str | None = None,
    only: Sequence[str] = (),
    ignore: Sequence[str] = (),
    severity: Mapping[str, str] | None = None,
    values: str = "normal",
    seed: int = 0,
    rerun: bool = False,
    limit: int = LIMIT,
    explore: int = 0,
) -> Callable[..., list[Finding]]:
    """A callable that runs `kernel` (a kernel, ``kernel[2]`` or a plain function) and gives back a list of `Finding`.

    Arguments are arrays, which stay as they are, or `ShapeDtype`, for which values are made: `values` is their kind
    (normal, special, zeros, ones, or a range ``low:high``) and `seed` their seed. `only` and `ignore` choose checks by name
    or label, `severity` changes how bad their findings are. With `rerun` the kernel runs again for each choice that public
    sources leave open (`docs/differs.md`) and that can matter to it. What the kernel raises is a finding too.

    With `explore` above 0 a kernel on two cores runs in so many other legal orders, to see whether its values change
    (`races.values`, docs/races.md). A core may take `limit` instructions, register reads and turns of dynamic loops
    together; a kernel that takes more is reported as one that does not end (`deadlock.endless`).

    Raises LaunchError for a check or kind of values that does not exist, or an LNC that the chip does not have.

    >>> findings = opentrn.check(kernel, target="trn2")(opentrn.ShapeDtype((128, 512), "bfloat16"))
    """
    made = simulate(kernel)
    choice, how = Choice(tuple(only), tuple(ignore), severity or {}), Values(values, seed)

    def checked(*args: Any, **kwargs: Any) -> list[Finding]:
        watch = choice.wants("hardware")
        looks = Looks(choice)
        evidence = evidence_of(made, args, kwargs, target, how, watch=watch, rerun=rerun, limit=limit, explore=explore)
        looks.add(evidence, source=True)
        return list(looks.outcome().findings)

    return checked


def evidence_of(
    kernel: Kernel,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    target: str | None = None,
    values: Values = ORDINARY,
    **options: Any,
) -> Evidence:
    """`evidence_of_ranks` for one rank."""
    return evidence_of_ranks(kernel, [(args, kwargs)], target, values, **options)[0]


def evidence_of_ranks(
    kernel: Kernel,
    calls: Sequence[Call],
    target: str | None = None,
    values: Values = ORDINARY,
    *,
    watch: bool = True,
    rerun: bool = False,
    limit: int = LIMIT,
    explore: int = 0,
) -> list[Evidence]:
    """What a run of `kernel` on copies of each rank's arguments shows, faults and failures included; see `Evidence`."""

    def launched(**mode: Any) -> list[Report]:
        given = [fresh(call, values) for call in calls]
        options = {"target": target, "strict": False, "catch": True, "limit": limit} | mode
        return ranks.start_ranks(kernel, given, **options)

    def once_more(rank: int, **mode: Any) -> list[np.ndarray] | None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = launched(**mode)[rank]
        return None if report.failures else _outputs(report)

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        reports = launched(trace=True, watch=watch)
    notices = [Notice(w.category, str(w.message), Site(w.filename, w.lineno)) for w in shown]
    return [
        Evidence(
            kernel.__name__,
            kernel.func,
            report.chip,
            report.lnc,
            report.traces or [],
            faults=report.warnings,
            failures=report.failures,
            notices=notices,
            arguments=(f"rank {rank} of {len(calls)}: " if len(calls) > 1 else "") + _told(kernel, *calls[rank]),
            sights=report.sights,
            outputs=_outputs(report),
            otherwise=lambda name, lines, rank=rank: once_more(rank, other=Otherwise(name, lines)),
            rerun=rerun,
            reschedule=lambda schedule, rank=rank: once_more(rank, schedule=schedule),
            explore=explore,
        )
        for rank, report in enumerate(reports)
    ]


@contextmanager
def checking(look_at: Callable[[Evidence], None], target: str | None = None, **options: Any) -> Iterator[None]:
    """Give `look_at` the evidence of each distinct launch (kernel, chip, signature) inside the ``with`` block.

    A launch on several ranks (`nki.simulate_ranks`) gives that of each. It comes from a run on copies of the arguments,
    before the launch itself, which then goes on as it would alone. `options` are those of `evidence_of_ranks`.
    """
    seen = set()

    def watched(kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any], launch: Mapping[str, Any]) -> Report:
        key = launch_key(kernel, args, kwargs, launch)
        if key not in seen:
            seen.add(key)
            look_at(evidence_of(kernel, args, kwargs, target or launch.get("target"), **options))
        return start(kernel, args, kwargs, launch)

    def watched_ranks(kernel: Kernel, calls: Sequence[Call]) -> list[Report]:
        key = (len(calls), *(launch_key(kernel, *call, {}) for call in calls))
        if key not in seen:
            seen.add(key)
            for each in evidence_of_ranks(kernel, calls, target, **options):
                look_at(each)
        return ranks.start_ranks(kernel, calls)

    kernels.WATCHERS.append(watched)
    ranks.WATCHERS.append(watched_ranks)
    try:
        yield
    finally:
        kernels.WATCHERS.remove(watched)
        ranks.WATCHERS.remove(watched_ranks)


def _told(kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The arguments of a launch as text: ``x=bfloat16[128,512], scale=2.0``."""
    try:
        named = kernel.__signature__.bind(*args, **kwargs).arguments
    except TypeError:  # the launch says what is wrong with the call
        return told(*args, **kwargs)
    return told(**named)


def _outputs(report: Report) -> list[np.ndarray]:
    """The arrays that a launch gave back or stored into, each once, as numpy."""
    found = {id(value): value for value in (*leaves(report.results), *report.stored)}
    kinds = ((value, kind_of(value)) for value in found.values())
    return [kind.to_numpy(value) for value, kind in kinds if kind is not None]
