"""The compiled event loop, or its slow twin in Python where there is no compiled core."""

from __future__ import annotations

from typing import Any

from opentrn.program import native
from opentrn.timing import oracle
from opentrn.timing.lower import Classes

__all__ = ["run"]


def run(
    machine: dict[str, Any], classes: Classes, cores: list[dict[str, Any]], *, compiled: bool | None = None
) -> tuple[list[dict[str, Any]], list[tuple[int, int, int, int]]]:
    """Time the cores' programs: (columns of each core, what is stuck).

    The second is empty when the programs ran to their end; otherwise it lists (core, engine, instruction, the
    instruction it waits for; -1: the other core). `compiled` chooses; None takes the compiled one if it is there.
    """
    core = native.core() if compiled is not False else None
    if core is None:  # as `opentrn doctor` tells
        return oracle.run(machine, classes, cores)
    columns = {"costs": classes.costs, "engine": classes.engine, "is_dma": classes.is_dma}
    return core.time_program(machine, columns, cores)
