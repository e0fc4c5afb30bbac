"""Makes `import nki` and `import neuronxcc.nki` mean opentrn, for scripts that were written for the real thing.

Every name `nki`, `nki.language`, ... becomes a second name of the module `opentrn.nki...`: one module object, two
names, so a class reached by either name is the same class. `neuronxcc.nki` is the older dialect, `opentrn.nki.beta1`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from opentrn.errors import InstallError

__all__ = ["install", "uninstall"]

_NAMES = ("nki", "neuronxcc")
_TARGETS = {"nki": "opentrn.nki", "neuronxcc.nki": "opentrn.nki.beta1", "neuronxcc": "opentrn.nki.beta1.neuronxcc"}
"""Where each name leads, the longer ones first."""


class _Alias(Loader):
    """Loads a name by handing out the module that already exists under its opentrn name."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(_opentrn_name(spec.name))
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just written the alias's spec over the module's own; relative imports need the own one.
        module.__spec__ = self._spec


class _Finder(MetaPathFinder):
    """Answers for `nki`, `neuronxcc` and everything below them, and for nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not _is_nki(fullname) or importlib.util.find_spec(_opentrn_name(fullname)) is None:
            return None
        return ModuleSpec(fullname, _Alias())


_finder = _Finder()
_shadowed: dict[str, ModuleType] = {}


def _is_nki(name: str) -> bool:
    return name.partition(".")[0] in _NAMES


def _opentrn_name(name: str) -> str:
    below = next(known for known in _TARGETS if name == known or name.startswith(known + "."))
    return _TARGETS[below] + name.removeprefix(below)


def _forget() -> dict[str, ModuleType]:
    """Takes every such name out of `sys.modules` and returns what was there."""
    return {name: sys.modules.pop(name) for name in [name for name in sys.modules if _is_nki(name)]}


def _found_elsewhere(name: str) -> str | None:
    """Where another package of that name comes from, or None when there is none. A bare folder is not one."""
    if name in sys.modules:
        return f"already imported from {getattr(sys.modules[name], '__file__', None) or 'an unknown place'}"
    for finder in sys.meta_path:
        spec = finder.find_spec(name, None)
        if spec is not None and spec.origin is not None:
            return spec.origin
    try:
        return f"the installed package {name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return None


def install(*, shadow: bool = False) -> None:
    """Makes `import nki` and `import neuronxcc`, and of every module below, give opentrn's; returns nothing.

    A second call changes nothing. `shadow=True` takes the name even where another nki is installed or imported; modules
    that hold a reference to that one keep it. Raises `InstallError` when another nki is there and `shadow` is false.

    >>> import opentrn, opentrn.nki
    >>> opentrn.install()
    >>> import nki
    >>> nki is opentrn.nki
    True
    """
    if _finder in sys.meta_path:
        return
    for name in _NAMES:
        other = _found_elsewhere(name)
        if other is None or shadow:
            continue
        raise InstallError(
            f"another {name} is there, and opentrn does not take its name silently",
            got=other,
            expected=f"an environment without {name}",
            hint="use another environment, or take the name: opentrn.install(shadow=True), opentrn run --shadow, "
            "pytest --opentrn-shadow",
        )
    _shadowed.update(_forget())
    sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Takes back what `install` did, and gives a shadowed nki its name again; returns nothing."""
    if _finder not in sys.meta_path:
        return
    sys.meta_path.remove(_finder)
    _forget()
    sys.modules.update(_shadowed)
    _shadowed.clear()
