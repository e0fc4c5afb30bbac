"""`nki.simulate_ranks`: one kernel on several ranks that work together through `nki.collectives`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentrn.errors import LaunchError
from opentrn.nki.arrays import kind_of
from opentrn.nki.kernel import Kernel, simulate
from opentrn.nki.launch import Call, Report, launch_ranks
from opentrn.program.site import user_site

__all__ = ["WATCHERS", "simulate_ranks", "start_ranks"]

WATCHERS: list[Callable[[Kernel, Sequence[Call]], list[Report]]] = []
"""Who runs launches of several ranks in place of `start_ranks`, the last one first (see `nki.check.checking`)."""


def simulate_ranks(kernel: Any, lnc: int, inputs: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Run `kernel` on ``len(inputs)`` ranks of `lnc` cores each, in this process; gives back each rank's results in order.

    ``inputs[r]`` are the keyword arguments of rank r. The ranks have their own memories, so an array that several of them
    are given is copied for all but the first. Raises KernelError when they can never meet (with what each waits for),
    LaunchError without inputs, and what the kernel raises.

    ``simulate_ranks(all_reduce_kernel, 2, [{"x": x0}, {"x": x1}])``
    """
    if not inputs:
        raise LaunchError(
            "nki.simulate_ranks", site=user_site(), got="no inputs", expected="the arguments of each rank"
        )
    made = simulate(kernel)[lnc]
    taken: set[int] = set()
    calls: list[Call] = [((), {name: _own(value, taken) for name, value in given.items()}) for given in inputs]
    return [report.results for report in (WATCHERS[-1] if WATCHERS else start_ranks)(made, calls)]


def start_ranks(kernel: Kernel, calls: Sequence[Call], **options: Any) -> list[Report]:
    """Launch `kernel` on its cores of as many ranks as there are `calls`; a report for each."""
    return launch_ranks(kernel.func, kernel.__name__, kernel.lnc, calls, default_target=kernel.target, **options)


def _own(value: Any, taken: set[int]) -> Any:
    """`value`, or a copy of it where it is an array that an earlier rank has."""
    kind = kind_of(value)
    if kind is None:
        return value
    if id(value) not in taken:
        taken.add(id(value))
        return value
    return kind.to_numpy(value).copy()
