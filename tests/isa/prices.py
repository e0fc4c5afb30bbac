"""What one call costs: its `Cost`, from a run of the call."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness import Operand, _make

import opentrn
import opentrn.nki.isa as nisa
from opentrn.isa.spec import Cost

STATIC = 60
"""Cycles that an instruction holds VectorE or ScalarE beyond its elements (cost.access_static_cycles)."""


def vector_ns(cycles: float) -> float:
    """ns that an instruction of `cycles` of streaming holds VectorE at 0.96 GHz."""
    return (STATIC + cycles) / 0.96


def price(name: str, target: str = "trn2", **case: Any) -> Cost:
    """The cost of ``nisa.<name>(**case)``."""

    def kernel(anchor: Any) -> Any:
        made = {k: v.view(_make(v)) if isinstance(v, Operand) else v for k, v in case.items()}
        getattr(nisa, name)(**made)
        nisa.dma_copy(dst=anchor, src=anchor)
        return anchor

    report = opentrn.run(kernel, target=target)(np.zeros((1, 1), np.float32))
    return next(step.cost for step in report.steps if step.instruction.name == name)
