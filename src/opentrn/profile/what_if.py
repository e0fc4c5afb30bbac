"""The same program on a machine that does not exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from opentrn.errors import LaunchError
from opentrn.isa.enums import MemoryRegion
from opentrn.machine.change import changed
from opentrn.machine.chip import Chip, Value
from opentrn.profile.report import ProfileReport, profile_report
from opentrn.program.allocate import allocate, spread
from opentrn.program.storage import Allocation
from opentrn.program.trace import Trace
from opentrn.timing.simulate import simulate

__all__ = ["what_if"]


def what_if(report: ProfileReport, changes: Mapping[str, Value | str]) -> ProfileReport:
    """`report`'s recorded program timed again on its chip with `changes` (see `machine.change.changed`).

    Stores are held back as far as they were for `report`. Instructions stay as they were recorded, so a change of what a
    kernel reads (`limits`) changes nothing; a change of SBUF or PSUM gives its tensors new addresses. Raises MachineError
    for a change that cannot be, CapacityError where the tensors no longer fit, LaunchError when the report holds no
    program.
    """
    if not report.traces:
        raise LaunchError(
            "a what-if needs the recorded program",
            got=f"a report of {report.kernel} without traces",
            expected="a report that opentrn.profile made",
        )
    chip = changed(report.timeline.chip, changes)
    traces = report.traces
    if any(path.startswith("memory.") for path in _new(chip, report.timeline.chip)):
        traces = [_placed(trace, chip) for trace in traces]
    timeline = simulate(traces, chip, reorder=report.reorder)
    facts = {"results": report.results, "launch": report.launch, "traces": traces, "reorder": report.reorder}
    return profile_report(timeline, report.kernel, **facts)


def _new(chip: Chip, old: Chip) -> list[str]:
    before = old.quantities()
    return [path for path, quantity in chip.quantities().items() if quantity.value != before[path].value]


def _placed(trace: Trace, chip: Any) -> Trace:
    """The trace with its tensors where this chip's SBUF and PSUM have room for them; those placed by hand stay."""
    tensors = [_unplaced(tensor) for tensor in trace.allocations]  # the report's own keep their addresses
    memory = chip.memory
    by_hand = any(tensor.manual for tensor in tensors if tensor.buffer is MemoryRegion.sbuf)
    sbuf = memory.sbuf_bytes_per_partition if by_hand else memory.sbuf_usable_bytes_per_partition
    spread(allocate(tensors, MemoryRegion.sbuf, sbuf))
    psum = allocate(tensors, MemoryRegion.psum, memory.psum_bytes_per_partition, memory.psum_bank_bytes)
    spread(psum, memory.psum_bank_bytes)
    return replace(trace, allocations=tensors)


def _unplaced(t: Allocation) -> Allocation:
    """A copy, without its address unless that was given by hand."""
    address = t.address if t.manual else None
    return Allocation(
        t.id, t.name, t.shape, t.dtype, t.buffer, t.core, t.site, address, t.manual, t.first, t.last, t.written
    )
