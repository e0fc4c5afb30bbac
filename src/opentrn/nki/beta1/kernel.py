"""`nki.jit` and its like: kernels of the older dialect, and the grids that they are launched on (SDK 2.26)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from opentrn.errors import CapacityError, LaunchError
from opentrn.nki import kernel as new
from opentrn.nki.beta1 import state
from opentrn.nki.beta1.index import is_whole
from opentrn.nki.beta1.language.program import nc, spmd_dim
from opentrn.nki.beta1.programs import run_programs
from opentrn.nki.beta1.tensor import Tensor, tensor_of
from opentrn.nki.launch import Report
from opentrn.program.notices import notice
from opentrn.program.recorder import active
from opentrn.program.site import user_site
from opentrn.program.view import View

__all__ = ["Kernel", "baremetal", "jit", "simulate_kernel", "trace"]

MODES = ("auto", "jax", "torchxla", "baremetal", "benchmark", "simulation", "trace")


class Kernel(new.Kernel):
    """A kernel and the grid it is launched on. Inside another kernel a call is inlined.

    ``kernel[4, 2](args)`` runs eight programs one after the other; dimensions made with ``nl.nc`` spread over cores.
    `automatic` lets the allocator place every tensor; `spills` keeps blocks of PSUM tensors in SBUF.
    """

    def __init__(
        self, function: Callable[..., Any], target: str | None = None, grid: tuple[Any, ...] = (), automatic: bool = False,
        spills: bool = False,
    ) -> None:  # fmt: skip
        self.body, self.grid, self.automatic, self.spills = function, grid, automatic, spills
        self.spillable = False
        cores = prod(d.cores for d in grid)
        super().__init__(function, cores, target)

        @functools.wraps(function)
        def programs(*args: Any, **kwargs: Any) -> Any:
            return self._programs(args, kwargs)

        self.func = programs

    def changed(self, **changes: Any) -> Kernel:
        """The same kernel with another target, grid or allocation."""
        own = {"target": self.target, "grid": self.grid, "automatic": self.automatic, "spills": self.spills}
        return Kernel(self.body, **(own | changes))

    def __getitem__(self, grid: Any) -> Kernel:
        dims = grid if isinstance(grid, tuple) else (grid,)
        return self.changed(grid=tuple(_dimension(d) for d in dims))

    def inlined(self, *args: Any, **kwargs: Any) -> Any:
        """The call inside another kernel: no grid of its own."""
        return self.body(*args, **kwargs)

    def report(self, args: tuple[Any, ...], kwargs: dict[str, Any], **options: Any) -> Report:
        """Launch and give back everything, not the results alone.

        Where PSUM overflows the kernel is run again with the blocks of its PSUM tensors in SBUF: AWS's compiler spills
        to the next memory (programming_model.rst, "NeuronCore internal memory", SDK 2.26). What it spills from SBUF to HBM
        is not modelled: then a warning says by how much SBUF is over its capacity, and times are without that traffic.
        """
        kept = tuple(_kept(a) for a in args), {name: _kept(a) for name, a in kwargs.items()}
        try:
            report = super().report(*kept, **{"spill": True, **options})
            if options.get("strict", True):
                for fault in (w for w in report.warnings if isinstance(w, CapacityError)):
                    notice(f"{fault.what}: AWS's compiler spills to HBM, and times are without that traffic")
            return report
        except CapacityError as error:
            if self.spills or not self.spillable or not error.what.startswith("psum"):
                raise
            notice(f"{error.what.partition(':')[0]}: its blocks are kept in SBUF, as AWS's compiler spills them")
            return self.changed(spills=True).report(args, kwargs, **options)

    def _programs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the launcher calls on each core: all programs of the grid that run there."""
        run, core = state.now(), active("neuronxcc.nki").state
        run.grid, run.automatic, run.spills = tuple(d.size for d in self.grid), self.automatic, self.spills
        given, named = [_seen(a) for a in args], {name: _seen(a) for name, a in kwargs.items()}
        places = [p for p in np.ndindex(*run.grid) if _core_of(self.grid, p) == core.index]
        made = _plain(run_programs(lambda: self.body(*given, **named), places))
        self.spillable = run.spilled > 0 and not run.wrote_arguments
        return made


def _dimension(given: Any) -> spmd_dim:
    if isinstance(given, spmd_dim):
        return given
    if not is_whole(given) or int(given) < 0:
        raise LaunchError("launch grid", site=user_site(2), got=repr(given), expected="sizes, nl.nc or nl.spmd_dim")
    # contributed/pipelined_attention.py of nki-samples launches kernel[0]: one program
    return spmd_dim(given if isinstance(given, nc) else max(1, int(given)))


def _core_of(grid: tuple[spmd_dim, ...], place: tuple[int, ...]) -> int:
    core = 0
    for dim, program in zip(grid, place, strict=True):
        core = core * dim.cores + dim.core_of(program)
    return core


class _Kept:
    """A dtype that a kernel gets as it was given: the launcher would make NKI's name of it."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return repr(self.value)


def _kept(value: Any) -> Any:
    return _Kept(value) if isinstance(value, (np.dtype, type, np.generic)) else value


def _seen(value: Any) -> Any:
    """An argument as the kernel sees it."""
    if isinstance(value, _Kept):
        return value.value
    if isinstance(value, View):
        return tensor_of(value)
    if isinstance(value, (tuple, list)):
        items = [_seen(v) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return {k: _seen(v) for k, v in value.items()} if isinstance(value, dict) else value


def _plain(value: Any) -> Any:
    """A result as the launcher takes it."""
    if isinstance(value, Tensor):
        return value.view_in()
    if isinstance(value, (tuple, list)):
        return type(value)(_plain(v) for v in value)
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, dict) else value


def function_of(kernel: Any, what: str) -> Kernel:
    """The kernel that a function, or a kernel of either dialect, is."""
    if isinstance(kernel, Kernel):
        return kernel
    inner = getattr(kernel, "kernel", None)
    if isinstance(inner, Kernel):
        return inner
    if isinstance(kernel, new.Kernel):
        return Kernel(kernel.func, kernel.target)
    if not callable(kernel):
        raise LaunchError(what, site=user_site(2), got=repr(kernel), expected="a function")
    return Kernel(kernel)


def jit(func: Any = None, mode: str = "auto", **options: Any) -> Any:
    """Make a function a kernel; ``mode="benchmark"`` makes it one that measures itself. All other modes run it."""
    if func is None:
        return functools.partial(jit, mode=mode, **options)
    if mode not in MODES:
        raise LaunchError("nki.jit", site=user_site(), got=f"mode={mode!r}", expected=", ".join(MODES))
    if mode == "benchmark":
        from opentrn.nki.beta1.benchmark import benchmark

        return benchmark(func, **options)
    made = function_of(func, "nki.jit")
    target = options.get("platform_target")
    return made.changed(target=target) if target else made


def trace(func: Any = None, **options: Any) -> Any:
    """A kernel that stores into its arguments (SDK 2.20); the same as `jit` here."""
    return jit(func, **options) if func is not None else functools.partial(trace, **options)


def baremetal(kernel: Any = None, **_options: Any) -> Any:
    """A kernel that is called with numpy arrays and without a framework. No NEFF and no trace are written."""
    return functools.partial(baremetal, **_options) if kernel is None else function_of(kernel, "nki.baremetal")


def simulate_kernel(kernel: Any, *args: Any, **kwargs: Any) -> Any:
    """Run a kernel on arrays; gives back its results."""
    return function_of(kernel, "nki.simulate_kernel")(*args, **kwargs)
