"""Importing this module fills `check.CHECKS`: one check per file of `checks/found/`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from opentrn.checks.check import CHECKS

__all__ = ["CHECKS"]

for _path in sorted((Path(__file__).parent / "found").glob("*.py")):
    if _path.stem != "__init__":
        import_module(f"opentrn.checks.found.{_path.stem}")
        if CHECKS.get(_path.stem) is None or not CHECKS[_path.stem].looks:
            raise TypeError(f"{_path}: a check's file declares `Check({_path.stem!r}, ...)` and what it looks at")
