"""`Schedule`: another order in which the records of a launch of two cores are executed; what it may change is decided elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["At", "Schedule"]

At = tuple[int, int]
"""(core, row)."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """What is done otherwise than in the usual run, in which every record is executed at once and cores take turns.

    `late` are DMAs that end only when something waits for them: a later access to the same tensor, a later DMA of their
    queue, an instruction that depends on them, or the end of the kernel. `stay` are stores after which the core goes on
    where it would give the other one its turn. `slots` tells each row's slot on each core (`timing.order`), `waits` what a
    row depends on. `log` receives the rows in the order in which they were executed, `stored` what each store to memory
    of both cores left there: places and bytes.
    """

    late: frozenset[At]
    stay: frozenset[At]
    slots: Sequence[np.ndarray]
    waits: dict[At, tuple[int, ...]]
    log: list[At] = field(default_factory=list)
    stored: dict[At, object] = field(default_factory=dict)
