"""Makes `import nki` mean opentrn, for scripts that were written for the real thing.

Every name `nki`, `nki.language`, ... becomes a second name of the module `opentrn.nki...`: one module object, two
names, so a class reached by either name is the same class.
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

_NAME = "nki"
_TARGET = "opentrn.nki"


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
    """Answers for `nki` and everything below it, and for nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not _is_nki(fullname) or importlib.util.find_spec(_opentrn_name(fullname)) is None:
            return None
        return ModuleSpec(fullname, _Alias())


_finder = _Finder()
_shadowed: dict[str, ModuleType] = {}


def _is_nki(name: str) -> bool:
    return name == _NAME or name.startswith(_NAME + ".")


def _opentrn_name(name: str) -> str:
    return _TARGET + name.removeprefix(_NAME)


def _forget() -> dict[str, ModuleType]:
    """Takes every `nki` name out of `sys.modules` and returns what was there."""
    return {name: sys.modules.pop(name) for name in [name for name in sys.modules if _is_nki(name)]}


def _found_elsewhere() -> str | None:
    """Where another nki comes from, or None when there is none. A bare folder named nki is not one."""
    if _NAME in sys.modules:
        return f"already imported from {getattr(sys.modules[_NAME], '__file__', None) or 'an unknown place'}"
    for finder in sys.meta_path:
        spec = finder.find_spec(_NAME, None)
        if spec is not None and spec.origin is not None:
            return spec.origin
    try:
        return f"the installed package nki {importlib.metadata.version(_NAME)}"
    except importlib.metadata.PackageNotFoundError:
        return None


def install(*, shadow: bool = False) -> None:
    """Makes `import nki`, and of every module below it, give the modules of `opentrn.nki`; returns nothing.

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
    other = _found_elsewhere()
    if other is not None and not shadow:
        raise InstallError(
            "another nki is there, and opentrn does not take its name silently",
            got=other,
            expected="an environment without nki",
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
