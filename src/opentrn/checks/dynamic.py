"""What the public pages ask of dynamic loops: edges stay inside one body, and both cores take the same turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from opentrn.errors import Site
from opentrn.program.site import site_of
from opentrn.program.trace import Loop, Trace

__all__ = ["diverging", "edges_across"]


def _dynamic(trace: Trace) -> list[Loop]:
    return [loop for loop in trace.loops if loop.kind != "affine_range"]


def edges_across(trace: Trace) -> Iterator[tuple[int, int, str]]:
    """(producer, consumer, what is wrong) of each `depends_on` whose producer is in a dynamic loop that the consumer is not in.

    A producer in an enclosing scope is allowed (nki.isa.NkiInstruction, SDK 2.32).
    """
    loops = _dynamic(trace) if len(trace.edges) else []
    for producer, consumer in trace.edges.tolist():
        for loop in loops:
            inside = loop.starts and loop.starts[0] <= producer < loop.end
            if inside and not consumer < loop.end:
                name = trace.instruction(consumer).name
                yield (
                    producer,
                    consumer,
                    f"nisa.{name} depends on an instruction inside an nl.{loop.kind} that it is not in",
                )
                break


def diverging(traces: Sequence[Trace]) -> Iterator[tuple[Site | None, str]]:
    """(where, what is wrong) at the first dynamic loop that the two cores do not run alike."""
    if len(traces) < 2:
        return
    for mine, theirs in zip_longest(*(_dynamic(trace) for trace in traces)):
        if mine is None or theirs is None:
            for core, loop in enumerate((mine, theirs)):
                if loop is not None:
                    yield site_of(loop.place), f"core {core} runs an nl.{loop.kind} that core {1 - core} does not run"
            return
        if mine.place != theirs.place:
            yield (
                site_of(mine.place),
                f"core 0 runs this nl.{mine.kind}, while core 1 runs the one at {site_of(theirs.place)}",
            )
            return
        if len(mine.starts) != len(theirs.starts):
            turns = f"{len(mine.starts)} turns on core 0 and {len(theirs.starts)} on core 1"
            yield site_of(mine.place), f"the nl.{mine.kind} takes {turns}"
            return
