"""The kernels behind published measurements, written here in today's NKI after the published schedules.

Each file names its public sources. A schedule is what decides the time: the tiles, their order, which engine works on
which, the number and size of the DMAs. Where a trace of the real run is public, the order of instructions on each engine
follows the trace (the compiler moves instructions); where none is, it follows the source.
"""

from __future__ import annotations

__all__: list[str] = []
