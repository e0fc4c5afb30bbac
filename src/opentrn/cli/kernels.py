"""The kernels of a file and what to run them on: `CHECK_INPUTS` of the file, or text or a function from the command line."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from opentrn.errors import LaunchError
from opentrn.install import install
from opentrn.nki.inputs import parse_inputs
from opentrn.nki.kernel import Kernel, simulate

__all__ = ["Inputs", "Launch", "launches_of", "module_of", "others_than"]

TABLE = "CHECK_INPUTS"
"""The dictionary of a file that gives each kernel's inputs as text."""


@dataclass(frozen=True)
class Inputs:
    """What a kernel is called with, and launched with (`lnc`, `target`; None where the text does not say)."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    lnc: int | None = None
    target: str | None = None


@dataclass(frozen=True)
class Launch:
    """A kernel with what to run it on; `inputs` is None where nothing says it."""

    name: str
    kernel: Kernel
    inputs: Inputs | None


def module_of(path: Path, shadow: bool = False) -> ModuleType:
    """The file at `path`, imported with `nki` meaning opentrn: as a module of its package, if it is in one."""
    install(shadow=shadow)
    path = path.resolve()
    root, parts = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        root, parts = root.parent, [root.name, *parts]
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module(".".join(parts)) if len(parts) > 1 else _module_at(path)


def _module_at(path: Path) -> ModuleType:
    """A file outside of packages, under a name that hides no other module."""
    name = f"opentrn_checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LaunchError(f"{path} is no Python file", hint="name a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def launches_of(module: ModuleType, name: str | None, inputs: str | None, lnc: int | None) -> list[Launch]:
    """The kernel called `name`, or all kernels that the module defines, each with its inputs.

    `inputs` (text, or ``module:function``) replaces those of `CHECK_INPUTS` for every kernel whose parameters it fits;
    `lnc` replaces the number of cores. Raises LaunchError where the kernel does not exist, or where `inputs` fits none.
    """
    table = getattr(module, TABLE, {})
    chosen = dict(_kernels(module, table)) if name is None else {name: _kernel(module, name)}
    given = _given(inputs) if inputs is not None else None
    launches = []
    for each, kernel in chosen.items():
        fits = given is not None and (name is not None or _fits(kernel, given))
        found = given if fits else _parsed(table[each]) if each in table else None
        cores = lnc or (found.lnc if found else None) or kernel.lnc
        launches.append(Launch(each, kernel[cores], found))
    if given is not None and not any(launch.inputs is given for launch in launches):
        raise LaunchError(f"--inputs fits no kernel of {module.__file__}", got=inputs, hint=_parameters(chosen))
    return launches


def others_than(name: str, module: ModuleType) -> list[str]:
    """The names of the module's functions that are other kernels."""
    return [kernel.func.__name__ for each, kernel in _kernels(module, getattr(module, TABLE, {})) if each != name]


def _kernels(module: ModuleType, table: dict[str, str]) -> Iterator[tuple[str, Kernel]]:
    """Kernels that the module itself defines, and functions that its `CHECK_INPUTS` names."""
    seen = set()
    for name, value in vars(module).items():
        own = isinstance(value, Kernel) and value.func.__module__ == module.__name__
        if (own or (name in table and callable(value))) and id(value) not in seen:
            seen.add(id(value))
            yield name, simulate(value)
    for name in table:
        if not callable(getattr(module, name, None)):
            raise LaunchError(f"{TABLE} names {name!r}, which {module.__file__} does not define")


def _kernel(module: ModuleType, name: str) -> Kernel:
    found = getattr(module, name, None)
    if not callable(found):
        known = ", ".join(each for each, _ in _kernels(module, {})) or "none"
        raise LaunchError(f"{module.__file__} has no kernel {name!r}", hint=f"its kernels are {known}")
    return simulate(found)


def _given(text: str) -> Inputs:
    """Inputs from the command line: ``module:function`` or ``file.py:function``, else text."""
    where, colon, function = text.rpartition(":")
    if not (colon and function.isidentifier() and "=" not in where):
        return _parsed(text)
    try:
        module = module_of(Path(where)) if where.endswith(".py") else importlib.import_module(where)
        made = getattr(module, function)()
    except (ImportError, AttributeError, OSError) as error:
        raise LaunchError(f"no inputs come from {text}", got=str(error), expected="module:function") from None
    return Inputs((), made) if isinstance(made, dict) else Inputs(made if isinstance(made, tuple) else (made,), {})


def _parsed(text: str) -> Inputs:
    args, kwargs, options = parse_inputs(text)
    return Inputs(args, kwargs, **options)


def _fits(kernel: Kernel, inputs: Inputs) -> bool:
    try:
        kernel.__signature__.bind(*inputs.args, **inputs.kwargs)
    except TypeError:
        return False
    return True


def _parameters(kernels: dict[str, Kernel]) -> str:
    return "; ".join(f"{name}{inspect.signature(kernel)}" for name, kernel in kernels.items())
