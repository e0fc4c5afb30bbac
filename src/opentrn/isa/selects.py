"""What range_select and select_reduce share."""

from __future__ import annotations

import numpy as np

from opentrn.isa.accumulators import accumulate
from opentrn.isa.enums import reduce_cmd
from opentrn.isa.spec import Broken, Use

__all__ = ["FP32_MIN", "finish", "maximum_only"]

FP32_MIN = float(np.finfo(np.float32).min)


def maximum_only(use: Use) -> None:
    """The only reduction that selects offer."""
    if use.reduce_op.name != "maximum":
        raise Broken(f"nl.{use.reduce_op.name}", "nl.maximum")


def finish(use: Use, result: np.ndarray) -> None:
    """Write the selected values and, if asked, their running maximum."""
    reducing = use.reduce_cmd is not reduce_cmd.idle or use.reduce_res is not None
    total = accumulate(use, use.reduce_op, result) if reducing else None
    use.dst.store(result)
    if use.reduce_res is not None:
        use.reduce_res.store(total)
