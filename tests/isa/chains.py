"""Several calls in one kernel: what instructions leave to each other, such as the accumulator registers."""

from __future__ import annotations

from typing import Any

import numpy as np
from harness import Operand, _make

import opentrn
import opentrn.nki.isa as nisa


def chain(*calls: tuple[str, dict[str, Any]], target: str = "trn2") -> list[dict[str, np.ndarray]]:
    """Run ``nisa.<name>(**case)`` for each call; for each the contents of its tensors when all calls are done."""
    made: list[dict[str, Any]] = [{} for _ in calls]

    def kernel(anchor: Any) -> Any:
        for kept, (name, case) in zip(made, calls, strict=True):
            kept |= {key: _make(value) for key, value in case.items() if isinstance(value, Operand)}
            views = {key: value.view(kept[key]) if key in kept else value for key, value in case.items()}
            getattr(nisa, name)(**views)
        for kept in made:
            kept |= {key: tensor.numpy() for key, tensor in kept.items()}
        nisa.dma_copy(dst=anchor, src=anchor)
        return anchor

    opentrn.run(kernel, target=target)(np.zeros((1, 1), np.float32))
    return made
