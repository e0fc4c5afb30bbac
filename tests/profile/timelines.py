"""Odd timelines for tests of what shows them."""

from dataclasses import replace

import numpy as np
from tests.timing.synthetic import synthetic_timeline

from opentrn.timing.timeline import Semaphores, Timeline

__all__ = ["only_transfers"]


def only_transfers() -> Timeline:
    """The DMAs of a synthetic timeline alone: nothing waits, no engine computes, no clock."""
    whole = synthetic_timeline(170)
    kept = whole.dma.instruction
    columns = {
        name: getattr(whole, name)[kept] for name in ("core", "engine", "operation", "place", "end", "done", "cause")
    }
    start, none = whole.start[kept], np.zeros(0, np.int64)
    return replace(
        whole,
        **columns,
        start=start,
        ready=start,
        blocker=np.full(len(kept), -1),
        dma=replace(whole.dma, instruction=np.arange(len(kept))),
        semaphores=Semaphores(none, none),
        clock=[],
        occupancy={},
    )
