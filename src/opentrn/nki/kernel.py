"""`nki.jit` and `nki.simulate`: the callable that a decorated kernel becomes."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

from opentrn.errors import LaunchError
from opentrn.nki.compat import deprecated
from opentrn.nki.launch import INSIDE, Report, launch
from opentrn.nki.scheduling import scheduled
from opentrn.program.site import user_site

__all__ = ["FRAMEWORKS", "KERNELS", "WATCHERS", "Kernel", "jit", "run", "simulate", "start", "unwatched"]

WATCHERS: list[Callable[[Kernel, tuple[Any, ...], dict[str, Any], Mapping[str, Any]], Report]] = []
"""Who runs launches in place of `start`, the last one first (see `nki.profile.profiling`)."""

KERNELS: WeakValueDictionary[int, Kernel] = WeakValueDictionary()
"""Every kernel by its number, for compilers that carry numbers but no objects."""

FRAMEWORKS = {"torch": "Tensor", "jax": "Array"}
"""The class of a framework's arrays."""


def _framework(value: Any) -> str | None:
    """The framework of an array, or of the first array in a container. PyTorch's compiler traces through this."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            name = _framework(item)
            if name is not None:
                return name
        return None
    for name, kind in FRAMEWORKS.items():
        module = sys.modules.get(name)
        if module is not None and isinstance(value, getattr(module, kind, ())):
            return name
    return None


_numbers = count()
_caller = import_module("opentrn.callers").caller  # by name: what it imports is above this room


class Kernel:
    """A kernel and the number of cores it is launched on. Inside another kernel a call is inlined.

    ``kernel(args)`` runs on one core, ``kernel[2](args)`` on the two cores of a logical NeuronCore (LNC2).
    """

    def __init__(self, function: Callable[..., Any], lnc: int = 1, target: str | None = None) -> None:
        functools.update_wrapper(self, function)
        self.func, self.lnc, self.target = function, lnc, target
        self.__name__: str = getattr(function, "__name__", "kernel")
        self.__signature__ = inspect.signature(function)
        self.number = next(_numbers)
        KERNELS[self.number] = self
        self._family: dict[int, Kernel] = {lnc: self}

    def with_both(self) -> Kernel:
        """Itself, with ``kernel[2]`` made ahead: compilers that trace it find it and need not make it."""
        self._family[3 - self.lnc] = other = Kernel(self.func, 3 - self.lnc, self.target)
        other._family = self._family
        return self

    def __getitem__(self, lnc: Any) -> Kernel:
        if isinstance(lnc, int) and lnc in self._family and lnc is not True:
            return self._family[lnc]
        grid = lnc if isinstance(lnc, tuple) else (lnc,)
        if len(grid) != 1 or isinstance(grid[0], bool) or not hasattr(grid[0], "__index__"):
            raise LaunchError(
                f"kernel {self.__name__}[...]", site=user_site(), got=repr(lnc), expected="1 or 2 (the LNC)"
            )
        number = grid[0].__index__()
        return self._family.get(number) or Kernel(self.func, number, self.target)

    def with_schedule(self, schedule: Any) -> Kernel:
        """The kernel with dependencies between instructions, by their names: pairs (name, name or list of names).

        The first of a pair waits for the others (how-to-scheduling-apis.rst, SDK 2.32). Raises LaunchError for another form.
        """
        return Kernel(scheduled(self.func, schedule), self.lnc, self.target).with_both()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if INSIDE.kernel:
            return self.inlined(*args, **kwargs)
        framework = _framework((args, kwargs))
        if framework is None:
            return self.report(args, kwargs).results
        return _caller(framework)(self, args, kwargs)

    def inlined(self, *args: Any, **kwargs: Any) -> Any:
        """The call inside another kernel."""
        return self.func(*args, **kwargs)

    def report(self, args: tuple[Any, ...], kwargs: dict[str, Any], **options: Any) -> Report:
        """Launch and give back everything, not the results alone."""
        return (WATCHERS[-1] if WATCHERS else start)(self, args, kwargs, options)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"<nki kernel {self.__name__}[{self.lnc}]>"


@contextmanager
def unwatched() -> Iterator[None]:
    """Launches in the block are none of the program's own: nobody watches them."""
    watchers, WATCHERS[:] = WATCHERS[:], []
    try:
        yield
    finally:
        WATCHERS[:] = watchers


def start(kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any], options: Mapping[str, Any]) -> Report:
    """Launch `kernel` on its cores."""
    return launch(kernel.func, kernel.__name__, kernel.lnc, args, kwargs, default_target=kernel.target, **options)


def jit(fn: Any = None, **kwargs: Any) -> Any:
    """Make a function a kernel (nki.jit, SDK 2.32).

    Options of older versions (mode=, debug_kernel=, ...) are accepted and ignored, except that ``platform_target``
    chooses the chip where `NEURON_PLATFORM_TARGET_OVERRIDE` does not (deprecated since NKI 0.3.0).

    A called kernel takes numpy arrays, torch CPU tensors or jax arrays and gives back the same kind.
    """
    if fn is None:
        return functools.partial(jit, **kwargs)
    target = kwargs.get("platform_target")
    if target is not None:
        deprecated(
            "nki.jit(platform_target=...) is the spelling of NKI before 0.3.0: set NEURON_PLATFORM_TARGET_OVERRIDE"
        )
    if "mode" in kwargs:
        deprecated("nki.jit(mode=...) is a spelling of NKI before 0.3.0, and ignored: leave it out")
    if isinstance(fn, Kernel):
        return Kernel(fn.func, fn.lnc, target or fn.target)
    if not callable(fn):
        raise LaunchError("nki.jit", site=user_site(), got=repr(fn), expected="a function")
    return Kernel(fn, target=target).with_both()


def simulate(kernel: Any) -> Any:
    """A callable that runs `kernel` here and gives back its results (nki.simulate, SDK 2.32)."""
    return kernel if isinstance(kernel, Kernel) else jit(kernel)


def run(kernel: Any, *, target: str | None = None, strict: bool = True) -> Callable[..., Report]:
    """A callable that runs `kernel` and gives back the `Report`; ``strict=False`` collects memory faults in it."""
    made = simulate(kernel)
    return lambda *args, **kwargs: made.report(args, kwargs, target=target, strict=strict)
