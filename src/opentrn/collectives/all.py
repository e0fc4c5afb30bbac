"""Importing this module fills `COLLECTIVES` with every collective: one per file of this room."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from opentrn.collectives.ranks import COLLECTIVES

__all__ = ["COLLECTIVES"]

for _path in sorted(Path(__file__).parent.glob("*.py")):
    if _path.stem not in ("__init__", "all", "ranks", "variable"):
        import_module(f"opentrn.collectives.{_path.stem}")
        _made = COLLECTIVES.get(_path.stem)
        if _made is None or _made.run is None or _made.price is None:
            raise TypeError(f"{_path}: a file of a collective declares it with a meaning and a cost")
