"""The instruction functions, made once; `nki.isa` shows them and `nki.language` composes them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from opentrn.isa.all import REGISTRY
from opentrn.nki.compat import deprecated, older_call, reordered, v0_2, v0_3
from opentrn.program.recorder import OLDER, public_function

__all__ = ["FUNCTIONS", "OLD_FUNCTIONS", "nisa"]

FUNCTIONS: dict[str, Callable[..., Any]] = {name: public_function(made) for name, made in REGISTRY.items()}
FUNCTIONS |= {name: reordered(FUNCTIONS[name], order) for name, order in v0_2.POSITIONAL.items()}
nisa = SimpleNamespace(**FUNCTIONS)
OLDER.call = older_call


def _replaced(name: str, successor: str, advice: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        deprecated(f"nisa.{name} was removed in NKI 0.4.0: write {advice}")
        return FUNCTIONS[successor](*args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Removed in NKI 0.4.0: {advice}."
    return call


OLD_FUNCTIONS = {name: _replaced(name, *today) for name, today in v0_3.REPLACED.items()}
"""Instructions that older versions had; not part of today's surface."""
