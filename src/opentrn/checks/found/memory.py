"""memory: what memory holds when it is read, where accesses fall, and whether everything fits."""

from __future__ import annotations

from collections.abc import Iterator

from opentrn.checks.check import Check
from opentrn.checks.evidence import Evidence
from opentrn.checks.failures import met
from opentrn.checks.finding import Finding

memory = Check("memory", "bytes that are read before they are written, out of bounds, over capacity, overwritten")
memory.rule(
    "uninitialised", "error", "documented", "an instruction reads elements that nothing wrote", "nki_simulator.rst"
)
memory.rule(
    "unwritten", "error", "documented", "a result is returned with elements that nothing wrote", "nki_simulator.rst"
)
memory.rule(
    "clobber", "error", "documented", "bytes are read that another tensor has overwritten", "nki.language.ndarray"
)
memory.rule("capacity", "error", "documented", "the live tensors do not fit in SBUF or PSUM", "trainium2_arch.rst")
memory.rule("address", "error", "documented", "a manual address that the memory does not have", "nki.language.ndarray")
memory.rule("bounds", "error", "documented", "an index or address outside its tensor", "nki.language.ndarray")


@memory.run
def _(evidence: Evidence) -> Iterator[Finding]:
    yield from met(evidence, memory)
