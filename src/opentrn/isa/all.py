"""Importing this module fills `spec.REGISTRY` with every instruction: one per file in the engine folders."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from opentrn.isa.spec import REGISTRY

__all__ = ["ENGINE_FOLDERS", "REGISTRY", "files"]

ENGINE_FOLDERS = ("tensor", "vector", "scalar", "gpsimd", "dma", "cores")


def files() -> dict[str, Path]:
    """Instruction name -> the file that describes it."""
    here = Path(__file__).parent
    return {
        p.stem: p for folder in ENGINE_FOLDERS for p in sorted((here / folder).glob("*.py")) if p.stem != "__init__"
    }


for _name, _path in files().items():
    import_module(f"opentrn.isa.{_path.parent.name}.{_name}")
    _made = REGISTRY.get(_name)
    if _made is None or _made.run is None or _made.price is None:
        raise TypeError(f"{_path}: an instruction file declares `{_name}` with a meaning and a cost")
