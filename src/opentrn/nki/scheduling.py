"""`kernel.with_schedule`: dependencies between instructions by their names (how-to-scheduling-apis.rst, SDK 2.32).

A schedule is a list of pairs (name, name or list of names): the first waits for all of the others, as if it had called
`depends_on`. opentrn keeps the order in which a kernel is written, so a pair may not turn two instructions round.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from opentrn.errors import LaunchError, UnsupportedError
from opentrn.program.recorder import active
from opentrn.program.site import user_site

__all__ = ["scheduled"]

Pairs = list[tuple[str, str]]
"""(consumer, producer)."""

_FORM = "pairs (name, name) or (name, [names])"


def scheduled(function: Callable[..., Any], schedule: Any) -> Callable[..., Any]:
    """`function` with the dependencies of `schedule` added to what it records.

    Raises LaunchError for a schedule of another form. A call raises it for a name that no instruction has, or several,
    and UnsupportedError where an instruction would have to wait for a later one.
    """
    pairs = _pairs(schedule)

    @functools.wraps(function)
    def body(*args: Any, **kwargs: Any) -> Any:
        recorder = active("with_schedule")
        outer, recorder.names = recorder.names, {}
        try:
            result = function(*args, **kwargs)
            recorder.edges += [_edge(recorder.names, *pair) for pair in pairs]
        finally:
            recorder.names = outer
        return result

    return body


def _pairs(schedule: Any) -> Pairs:
    found: Pairs = []
    for pair in schedule if isinstance(schedule, (list, tuple)) else [schedule]:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise LaunchError("with_schedule", site=user_site(), got=repr(pair), expected=_FORM)
        producers = [pair[1]] if isinstance(pair[1], str) else pair[1]
        names = [pair[0], *producers] if isinstance(producers, (list, tuple)) else [producers]
        if not all(isinstance(name, str) for name in names):
            raise LaunchError("with_schedule", site=user_site(), got=repr(pair), expected=_FORM)
        found += [(names[0], producer) for producer in names[1:]]
    return found


def _edge(names: Mapping[str, list[int]], consumer: str, producer: str) -> tuple[int, int]:
    first, second = _named(names, producer), _named(names, consumer)
    if first < second:
        return first, second
    if first == second:
        raise LaunchError("with_schedule", site=user_site(), got=f"{consumer!r} after itself", expected="no cycle")
    raise UnsupportedError(
        f"with_schedule: {consumer!r} stands before {producer!r} in the kernel",
        site=user_site(),
        hint=f"write {producer!r} first: opentrn keeps the order in which instructions are written",
    )


def _named(names: Mapping[str, list[int]], name: str) -> int:
    found = names.get(name, [])
    if len(found) == 1:
        return found[0]
    near = get_close_matches(name, names, n=3)
    raise LaunchError(
        "with_schedule",
        site=user_site(),
        got=f"{name!r}, which {len(found)} instructions have as their name",
        expected="the name= of one instruction",
        hint=f"did you mean {' or '.join(map(repr, near))}?" if near else None,
    )
