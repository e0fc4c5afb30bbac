"""The kernels that are mutated: ours, and those of `opentrn validate`, at small sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

__all__ = ["SUBJECTS", "Subject"]

ROOT = Path(__file__).parents[2]
KERNELS = "src/opentrn/validation/kernels"
BF16 = ml_dtypes.bfloat16


@dataclass(frozen=True)
class Subject:
    """A kernel, and its arguments from a random generator."""

    file: str
    kernel: str
    make: Callable[[np.random.Generator], tuple[Any, ...]]
    lnc: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return ROOT / self.file

    def __str__(self) -> str:
        return f"{self.file}::{self.kernel}"


def _normal(
    *shapes: tuple[int, ...], dtype: Any = np.float32, scale: float = 1
) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    return lambda random: tuple((scale * random.standard_normal(shape, np.float32)).astype(dtype) for shape in shapes)


def _attention(random: np.random.Generator) -> tuple[Any, ...]:
    identity = np.eye(128, dtype=np.float32)
    return (*((4 * random.uniform(-1, 1, (128, 1024))).astype(BF16) for _ in range(3)), identity, identity.astype(BF16))


def _mamba(random: np.random.Generator) -> tuple[Any, ...]:
    shapes = ((1, 128, 64), (1, 128, 64), (128, 3), (1, 3, 64), (1, 3, 64))
    delta, u, a, b, c = (random.standard_normal(shape, np.float32) for shape in shapes)
    return np.abs(delta) / 4, u, -np.abs(a), b, c


SUBJECTS = (
    Subject("examples/attention.py", "attention", _normal(*[(1, 640, 64)] * 3, dtype=BF16, scale=4)),
    Subject("examples/optimising/matmul.py", "tiled", _normal((256, 256), (256, 1024), dtype=BF16)),
    Subject("examples/optimising/matmul.py", "hoisted", _normal((256, 256), (256, 512), dtype=BF16)),
    Subject("examples/optimising/matmul.py", "blocked", _normal((256, 256), (256, 1024), dtype=BF16)),
    Subject(f"{KERNELS}/matmul.py", "tiled", _normal((256, 256), (256, 1024))),
    Subject(f"{KERNELS}/attention.py", "fused", _attention),
    Subject(f"{KERNELS}/elementwise.py", "silu", _normal((128, 2, 1024))),
    Subject(f"{KERNELS}/mlp.py", "fused_table", _normal((256, 128), (256, 512), (1, 512))),
    Subject(f"{KERNELS}/mamba.py", "scan", _mamba),
    Subject("tests/mutation/two_cores.py", "swapped_halves", _normal((64, 128)), lnc=2),
    Subject("tests/mutation/two_cores.py", "split_contraction", _normal((128, 64), (128, 96)), lnc=2),
    Subject("tests/mutation/two_cores.py", "column_sums", _normal((64, 128)), lnc=2),
)
