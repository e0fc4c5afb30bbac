"""What the tests of kernels share: values of a fixed seed, a distance, and what the checks find."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

import opentrn

__all__ = ["clean", "distance", "normal", "real"]


def normal(shape: tuple[int, ...], dtype: str = "bfloat16", seed: int = 0) -> np.ndarray:
    """Normally distributed values."""
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(kind)


def real(values: Any) -> np.ndarray:
    """Values of numpy or torch as float32."""
    return np.asarray(values.detach() if hasattr(values, "detach") else values).astype(np.float32)


def distance(got: Any, wanted: Any) -> float:
    """The largest difference, as a share of the largest wanted value."""
    a, b = real(got), real(wanted)
    assert a.shape == b.shape, f"{a.shape} and {b.shape}"
    assert np.isfinite(a).all()
    return float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-30))


def clean(kernel: Any, *args: Any, **kwargs: Any) -> None:
    """No finding of severity error on these arguments."""
    errors = [each for each in opentrn.check(kernel)(*args, **kwargs) if each.severity == "error"]
    assert not errors, errors
