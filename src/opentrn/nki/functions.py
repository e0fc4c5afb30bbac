"""The instruction functions, made once; `nki.isa` shows them and `nki.language` composes them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from opentrn.isa.all import REGISTRY
from opentrn.nki.compat import older_call
from opentrn.program.recorder import OLDER, public_function

__all__ = ["FUNCTIONS", "nisa"]

FUNCTIONS: dict[str, Callable[..., Any]] = {name: public_function(made) for name, made in REGISTRY.items()}
nisa = SimpleNamespace(**FUNCTIONS)
OLDER.call = older_call
