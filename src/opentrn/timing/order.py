"""What each instruction of one core knows to be complete when it issues: the vector clocks behind the semaphores."""

from __future__ import annotations

from typing import Any

import numpy as np

from opentrn.program import native
from opentrn.timing import oracle
from opentrn.timing.lower import Classes
from opentrn.timing.timeline import ENGINES

__all__ = ["SLOTS", "clocks_of"]

SLOTS = 2 * len(ENGINES)
"""Slot e is engine e, slot ``len(ENGINES) + e`` the queue of the DMAs that engine e triggers."""


def clocks_of(core: dict[str, Any], classes: Classes, *, compiled: bool | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(row of the table for each instruction, the table) of one core's columns: int32 (n) and int32 (k, SLOTS).

    A table's entry is the latest instruction of a slot that is known to be complete (-1: none), and with it all before it
    in that slot. An engine's own instructions before the one that issues are complete too, and are not in its clock.
    """
    fast = native.core() if compiled is not False else None
    if fast is None:
        return oracle.clocks_of(core, classes)
    rows, table = fast.order_program({"engine": classes.engine, "is_dma": classes.is_dma}, core)
    return rows, table.reshape(-1, SLOTS)
