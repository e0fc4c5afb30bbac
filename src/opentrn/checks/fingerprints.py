"""Whether two cores compute the same: one number per instruction that stands for what it does to which values."""

from __future__ import annotations

from opentrn.program.step import Step
from opentrn.program.trace import READS, WRITES, Trace
from opentrn.program.view import View

__all__ = ["fingerprints"]


def fingerprints(trace: Trace, core: int) -> list[int]:
    """For each row a number, equal on two cores where the same instruction sees the same values.

    A tensor's contents are what was written to it, in order. What comes from the other core, or from a core's own random
    numbers, is unequal; what a register holds is taken as equal.
    """
    shared = trace.shared
    contents = [hash(shared[a.id]) if a.id in shared else hash((a.shape, a.dtype.name)) for a in trace.allocations]
    own = {n for n, step in enumerate(trace.steps) if "per_core" in step.instruction.traits}
    forms = list(
        zip(trace.region_allocation.tolist(), trace.region_offset.tolist(), trace.region_geometry.tolist(), strict=True)
    )
    shapes = [hash(g) for g in trace.geometries]
    does = [hash((_what(step), core if n in own else -1)) for n, step in enumerate(trace.steps)]
    first, region, access = trace.first_operand.tolist(), trace.region.tolist(), trace.access.tolist()
    made = []
    for row, step in enumerate(trace.step.tolist()):
        operands = range(first[row], first[row + 1])
        seen = [(contents[a], o, shapes[g]) for k in operands if access[k] & READS for a, o, g in (forms[region[k]],)]
        made.append(hash((does[step], *seen)))
        for k in operands:
            if access[k] & WRITES:
                a, o, g = forms[region[k]]
                contents[a] = hash((contents[a], o, shapes[g], made[-1]))
    return made


def _what(step: Step) -> tuple[object, ...]:
    """What a step does, apart from its operands (two steps may stand for one signature)."""
    plain = {n: str(v) for n, v in step.values.items() if not isinstance(v, View | list)}
    return (step.instruction.name, step.engine.name, *plain.items())
