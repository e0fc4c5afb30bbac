"""Makes `import nki` and `import neuronxcc.nki` mean opentrn, for scripts that were written for the real thing.

Every name `nki`, `nki.language`, ... becomes a second name of the module `opentrn.nki...`: one module object, two
names, so a class reached by either name is the same class. `neuronxcc.nki` is the older dialect, `opentrn.nki.beta1`.
For whole scripts (`opentrn run`, `NKI_SIMULATOR=1`), `torch_neuronx` and `torch_xla` have stand-ins where they are absent.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from opentrn.errors import InstallError

__all__ = ["install", "simulate_if_asked", "uninstall"]

_NAMES = ("nki", "neuronxcc")
_TARGETS = {"nki": "opentrn.nki", "neuronxcc.nki": "opentrn.nki.beta1", "neuronxcc": "opentrn.nki.beta1.neuronxcc"}
"""Where each name leads, the longer ones first."""
_STAND_INS = {"torch_neuronx": "opentrn.bridges.torch_neuronx", "torch_xla": "opentrn.bridges.torch_xla"}
_LEADS = _TARGETS | _STAND_INS
SIMULATOR_VARIABLE = "NKI_SIMULATOR"
"""AWS's documented way to run kernels on a simulator: 1 (nki_simulator.rst, SDK 2.32)."""


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


class _StandIns(MetaPathFinder):
    """Answers, after every other finder, for the packages that hold the device on the real machine.

    Installed libraries that look whether these are there get no answer: they would take another path through them.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in _STAND_INS or _asked_by_a_library():
            return None
        return ModuleSpec(fullname, _Alias()) if importlib.util.find_spec(_opentrn_name(fullname)) else None


class _Simulator(_Finder):
    """The finder of `NKI_SIMULATOR=1 python script.py`: with the first `import nki` it says what runs the kernels."""

    told = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if _is_nki(fullname) and not self.told:
            self.told = True
            tell()
        return super().find_spec(fullname, path, target)


def tell() -> None:
    """The one-line notice, on stderr."""
    print(f"opentrn: {SIMULATOR_VARIABLE}=1, kernels run on a simulated chip; no device is used", file=sys.stderr)


def _asked_by_a_library() -> bool:
    """The frame that imports (or looks for) the module is in an installed package."""
    frame = sys._getframe(2)
    while frame is not None and "importlib" in frame.f_code.co_filename:
        frame = frame.f_back
    folders = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return frame is not None and any(frame.f_code.co_filename.startswith(folder + os.sep) for folder in folders)


_finder = _Finder()
_stand_ins = _StandIns()
_shadowed: dict[str, ModuleType] = {}


def _is_nki(name: str) -> bool:
    return name.partition(".")[0] in _NAMES


def _opentrn_name(name: str) -> str:
    known = next(known for known in _LEADS if name == known or name.startswith(known + "."))
    return _LEADS[known] + name.removeprefix(known)


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


def install(*, shadow: bool = False, stand_ins: bool = False) -> None:
    """Makes `import nki` and `import neuronxcc`, and of every module below, give opentrn's; returns nothing.

    A second call changes nothing. `shadow=True` takes the name even where another nki is installed or imported; modules
    that hold a reference to that one keep it. With `stand_ins`, `torch_neuronx` and `torch_xla` are found in opentrn
    where they are not installed: operators for kernels, and a device that is the CPU. Raises `InstallError` when another
    nki is there and `shadow` is false.

    >>> import opentrn, opentrn.nki
    >>> opentrn.install()
    >>> import nki
    >>> nki is opentrn.nki
    True
    """
    if stand_ins and _stand_ins not in sys.meta_path:
        sys.meta_path.append(_stand_ins)
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
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
    if _stand_ins in sys.meta_path:
        sys.meta_path.remove(_stand_ins)
    if _finder not in sys.meta_path:
        return
    sys.meta_path.remove(_finder)
    _forget()
    sys.modules.update(_shadowed)
    _shadowed.clear()


def simulate_if_asked() -> None:
    """What starts with Python where opentrn is installed (`opentrn_simulator.pth`), when `NKI_SIMULATOR` is 1.

    Makes `import nki` give opentrn where no other nki is there; AWS's own package obeys the variable itself.
    """
    if os.environ.get(SIMULATOR_VARIABLE) != "1" or any(map(importlib.util.find_spec, _NAMES)):
        return
    sys.meta_path.append(_Simulator())
    sys.meta_path.append(_stand_ins)
