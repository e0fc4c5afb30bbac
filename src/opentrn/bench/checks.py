"""What all checks cost beside the run itself. Started as a process by `opentrn bench`."""

from __future__ import annotations

import json
import sys

import ml_dtypes
import numpy as np

from opentrn.bench import kernels
from opentrn.bench.timing import median_seconds
from opentrn.checks.check import CHECKS
from opentrn.nki.check import check
from opentrn.nki.kernel import simulate as kernel_of

__all__ = ["cost", "main"]

CONCURRENT = "races"
"""The check whose cost has a limit of its own."""


def cost(size: int) -> dict[str, float]:
    """CPU seconds of a product of (size, size) matrices: run alone, with all checks but races, and with all checks."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((size, size), np.float32).astype(ml_dtypes.bfloat16) for _ in range(2))
    kernel = kernel_of(kernels.matmul)
    others = check(kernel, target="trn2", ignore=[CONCURRENT] if CONCURRENT in CHECKS else [])
    everything = check(kernel, target="trn2")
    return {
        "run": median_seconds(lambda: kernel.report((a, b), {}, target="trn2")),
        "checks": median_seconds(lambda: others(a, b)),
        "races": median_seconds(lambda: everything(a, b)),
    }


def main() -> None:
    """Print the seconds as JSON; the argument is the size."""
    json.dump(cost(int(sys.argv[1])), sys.stdout)


if __name__ == "__main__":
    main()
