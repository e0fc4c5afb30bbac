"""memory: what memory holds when it is read, where accesses fall, and whether everything fits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from opentrn.checks import psum
from opentrn.checks.check import Check
from opentrn.checks.evidence import Evidence
from opentrn.checks.failures import met
from opentrn.checks.finding import Finding, related
from opentrn.isa.enums import MemoryRegion
from opentrn.program.trace import READS, WRITES, Trace

SIMULATOR, NDARRAY, MATMUL = (
    "nki_simulator.rst (SDK 2.32)",
    "nki-language-guide.rst (SDK 2.32)",
    "nki.isa.nc_matmul (SDK 2.32)",
)
MIGRATION, TILES, APS = "migration/index.rst (SDK 2.32)", "tiling-overview.rst (SDK 2.32)", "nki-aps.rst (SDK 2.32)"

memory = Check("memory", "bytes read before they are written, out of bounds, over capacity, overwritten, or never used")
memory.rule("uninitialised", "error", "documented", "an instruction reads elements that nothing wrote", NDARRAY)
memory.rule("unwritten", "error", "documented", "a result has elements that nothing wrote", SIMULATOR)
memory.rule(
    "clobber", "error", "documented", "an instruction reads bytes that another tensor has overwritten", MIGRATION
)
memory.rule(
    "capacity", "error", "documented", "the live tensors do not fit in SBUF or PSUM", "trainium2_arch.rst (SDK 2.32)"
)
memory.rule("address", "error", "documented", "a manual address that the memory does not have", MIGRATION)
memory.rule("bounds", "error", "documented", "an index or a run-time address outside its tensor", APS)
memory.rule(
    "accumulate", "error", "documented", "a product is added to PSUM that no product wrote (trn1, trn2)", MATMUL
)
memory.rule(
    "zeroed_sum", "warning",
    "documented as undefined on trn1 and trn2, though the architecture guide and AWS's depthwise_conv1d start sums this way",
    "a product is added to PSUM that a memset set to 0", MATMUL,
)  # fmt: skip
memory.rule("bank", "error", "documented", "a hand-placed PSUM tensor does not start on a bank", MIGRATION)
memory.rule("span", "warning", "documented", "an operand in PSUM is larger than one bank", TILES)
memory.rule("unused", "warning", "inferred", "a hand-placed tensor that no instruction touches", MIGRATION)
memory.rule("dead", "advice", "inferred", "instructions whose only output is never read")


@memory.run
def _(evidence: Evidence) -> Iterator[Finding]:
    yield from met(evidence, memory)
    for core in range(len(evidence.traces)):
        yield from _accumulations(evidence, core)
        yield from _placement(evidence, core)
        if not evidence.failures:
            yield from _dead(evidence, core)


def _accumulations(evidence: Evidence, core: int) -> Iterator[Finding]:
    if evidence.chip.nc_version >= 4:
        return
    trace = evidence.traces[core]
    for row, writer in psum.foreign_sums(trace):
        instruction, other = (trace.instruction(n).name for n in (row, writer))
        zeroed = other == "memset" and trace.steps[trace.step[writer]].values["value"] == 0
        yield memory.finding(
            "zeroed_sum" if zeroed else "accumulate",
            f"nisa.{instruction} adds to PSUM that nisa.{other} wrote; on {evidence.chip.name} the sum is undefined",
            evidence.site_of(core, row),
            hint="start the sum with a product (accumulate=False), and add the other value after the sum is read",
            related=(related(f"nisa.{other} writes it here", evidence.site_of(core, writer)),),
        )


def _placement(evidence: Evidence, core: int) -> Iterator[Finding]:
    trace, bank = evidence.traces[core], evidence.chip.memory.psum_bank_bytes
    for tensor in trace.allocations:
        if not tensor.manual:
            continue
        partition, byte = tensor.address or (0, 0)
        if tensor.buffer is MemoryRegion.psum and byte % bank:
            yield memory.finding(
                "bank",
                f"{tensor} is placed at byte {byte:,} of its partitions; the compiler wants a multiple of {bank:,}",
                tensor.site,
                hint=f"address=({partition}, bank * {bank})",
            )
        if tensor.first < 0 and not evidence.failures:
            yield memory.finding(
                "unused",
                f"{tensor} holds {tensor.partition_bytes:,} bytes of {tensor.partitions} partitions, and no instruction touches it",
                tensor.site,
                hint="leave it out, or use it",
            )
    for row, nbytes in psum.wide_operands(trace, bank):
        yield memory.finding(
            "span",
            f"nisa.{trace.instruction(row).name} has an operand of {nbytes:,} bytes per partition in PSUM, where a bank holds"
            f" {bank:,}",
            evidence.site_of(core, row),
            hint=f"work on at most {bank:,} bytes per partition at a time",
        )


def _dead(evidence: Evidence, core: int) -> Iterator[Finding]:
    trace = evidence.traces[core]
    for tensor, row in _never_read(trace):
        yield memory.finding(
            "dead",
            f"what nisa.{trace.instruction(row).name} writes to {tensor} is never read",
            evidence.site_of(core, row),
            hint="leave the instruction out, or use its result",
        )


def _never_read(trace: Trace) -> Iterator[tuple[object, int]]:
    """(tensor, a row that writes it) for on-chip tensors that are written and never read, where that row writes nothing else."""
    rows = trace.operand_row
    touched = trace.operand_allocation
    read, written = (np.zeros(len(trace.allocations), bool) for _ in range(2))
    read[touched[(trace.access & READS) != 0]] = True
    writes = (trace.access & WRITES) != 0
    written[touched[writes]] = True
    outputs = np.bincount(rows[writes], minlength=len(trace))
    read[list(trace.looked)] = True
    useless = written & ~read
    for number in np.flatnonzero(useless).tolist():
        tensor = trace.allocations[number]
        if tensor.buffer.on_chip:
            of_it = rows[writes & (touched == number)]
            if (outputs[of_it] == 1).all():
                yield tensor, int(of_it[0])
