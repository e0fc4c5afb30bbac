"""Both files run on the same inputs: their values, and the latencies that are predicted for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from opentrn.errors import LaunchError, OpentrnError
from opentrn.migrate.facts import module_of, watch
from opentrn.migrate.names import Note
from opentrn.migrate.rewrite import rewrite
from opentrn.nki.profile import profile

__all__ = ["Comparison", "Proof", "Sample", "migrate"]

CLOSE = 0.02
"""The share by which latencies may differ."""


@dataclass(frozen=True)
class Sample:
    """One launch: the kernel's name and its arguments."""

    kernel: str
    args: tuple[Any, ...]


@dataclass(frozen=True)
class Comparison:
    """What the two forms of a kernel gave on one sample. Latencies in microseconds; `failed` is why there is no answer."""

    kernel: str
    equal: bool
    old_us: float = 0.0
    new_us: float = 0.0
    failed: str = ""

    @property
    def gap(self) -> float:
        """The share by which the new latency differs."""
        return abs(self.new_us - self.old_us) / self.old_us if self.old_us else 0.0

    @property
    def proven(self) -> bool:
        """Equal values, and latencies within two per cent."""
        return self.equal and not self.failed and self.gap < CLOSE


@dataclass
class Proof:
    """The new source, the places that are not mechanical, and the comparisons."""

    source: str
    notes: list[Note] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Something was compared, and all of it agreed."""
        return bool(self.comparisons) and all(c.proven for c in self.comparisons)


def migrate(path: Path, samples: Sequence[Sample]) -> Proof:
    """Rewrite the kernels of `path` and compare them on `samples`, which also tell what their expressions are.

    Raises LaunchError where `samples` is empty or names a kernel that the file does not have; what the old file raises
    comes through.
    """
    if not samples:
        raise LaunchError("opentrn migrate", got="no inputs", expected="--inputs FILE with a function inputs()")

    def run(module: ModuleType) -> None:
        for sample in samples:
            _kernel(module, sample.kernel, path)(*deepcopy(sample.args))

    facts = watch(path, run)
    made = rewrite(path.read_text(), facts)
    old = module_of(path, "migrated_from")
    return Proof(made.source, made.notes, [_compared(path, old, made.source, s) for s in samples])


def _kernel(module: ModuleType, name: str, path: Path) -> Callable[..., Any]:
    found = getattr(module, name, None)
    if found is None:
        raise LaunchError("opentrn migrate", got=f"no kernel {name!r} in {path}", expected="a function of the file")
    return found


def _compared(path: Path, old: ModuleType, source: str, sample: Sample) -> Comparison:
    args = deepcopy(sample.args)
    before = profile(_kernel(old, sample.kernel, path))(*args)
    expected = (before.results, args)
    args = deepcopy(sample.args)
    try:
        new = module_of(path.with_suffix(".new.py"), "migrated_to", source)
        after = profile(_kernel(new, sample.kernel, path))(*args)
    except (OpentrnError, SyntaxError, TypeError, AttributeError, NameError, ValueError, IndexError) as error:
        return Comparison(sample.kernel, False, before.latency_us, 0.0, f"{type(error).__name__}: {error}")
    equal = _equal(expected, (after.results, args))
    return Comparison(sample.kernel, equal, before.latency_us, after.latency_us)


def _equal(a: Any, b: Any) -> bool:
    """Bit for bit, except that NaNs are equal."""
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(_equal(x, y) for x, y in zip(a, b, strict=True))
    if hasattr(a, "shape"):
        x, y = np.asarray(a), np.asarray(b)
        return (
            x.shape == y.shape
            and x.dtype == y.dtype
            and np.array_equal(x.astype(np.float64), y.astype(np.float64), equal_nan=True)
        )
    return a is b or a == b
