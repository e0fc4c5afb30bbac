"""Launching a kernel: arguments in, both cores run, results out, as one `Report`."""

from __future__ import annotations

import dataclasses
import gc
import inspect
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from opentrn.errors import LaunchError, MemoryFault, OpentrnError
from opentrn.execute import access
from opentrn.execute.core import Core, Mode
from opentrn.execute.lockstep import Lockstep
from opentrn.execute.tile import sentinel
from opentrn.isa.enums import MemoryRegion
from opentrn.isa.latitudes import Sight
from opentrn.machine.chip import Chip, load_chip
from opentrn.nki import settings
from opentrn.nki.arguments import Argument, dtype_name, same, without_data, wrapped
from opentrn.nki.arrays import ShapeDtype, kind_of, rebuilt, stand_in
from opentrn.nki.compat.v0_2 import keywords
from opentrn.nki.objects import NKIObject
from opentrn.nki.tensor import NkiTensor
from opentrn.numerics.dtypes import DTYPES, DType
from opentrn.program.allocate import MemoryMap
from opentrn.program.notices import notice
from opentrn.program.recorder import ACTIVE
from opentrn.program.site import user_site
from opentrn.program.step import Step
from opentrn.program.storage import Allocation
from opentrn.program.trace import Trace
from opentrn.program.view import View

__all__ = ["INSIDE", "Call", "Report", "launch", "launch_ranks"]

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""The arguments of one rank."""


class _Inside(threading.local):
    kernel = False


INSIDE = _Inside()
"""Whether this thread runs a kernel: a call of another kernel is inlined there, and launched in every other thread."""

_ONE_AT_A_TIME = threading.RLock()
"""Held by a launch: there is one slot for the recorder, and compiled JAX programs call kernels from several threads."""


@dataclass(frozen=True)
class Report:
    """What one launch gave: the kernel's results, and how it used the chip.

    `instructions` counts by instruction name and `engines` by engine name (both cores together), `steps` by checked
    signature; `memory` holds, for each core, the map of SBUF and PSUM; `warnings` are the faults that ``strict=False``
    let pass; `traces` is the recorded program of each core, None unless it was asked for. `failures` is what ended the
    launch, where it was asked to catch that (the rest is then as far as the kernel came). `stored` are the caller's arrays
    that were stored into; `sights` is what a watched launch noticed (`Mode.watch`).
    """

    results: Any
    chip: Chip
    lnc: int
    instructions: Counter[str]
    engines: Counter[str]
    steps: Counter[Step]
    memory: list[dict[MemoryRegion, MemoryMap]]
    warnings: list[OpentrnError] = field(default_factory=list)
    traces: list[Trace] | None = None
    failures: list[Exception] = field(default_factory=list)
    stored: list[Any] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)

    @property
    def instruction_count(self) -> int:
        """Instructions executed on all cores."""
        return self.instructions.total()


class _Launch:
    """One run of one kernel on the cores of one rank."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        lockstep: Lockstep,
        rank: int,
        options: settings.Settings,
        mode: Mode,
    ) -> None:
        self.function, self.name, self.lnc, self.options, self.mode = function, name, lockstep.cores, options, mode
        self.chip = load_chip(options.target)
        self.arguments: dict[int, Argument] = {}
        seats = range(rank * self.lnc, (rank + 1) * self.lnc)
        self.cores = [Core(self.chip, seat, lockstep, mode, self._stochastic(seat)) for seat in seats]
        for core in self.cores:
            core.shared_tensors = self.cores[0].shared_tensors

    def _stochastic(self, seat: int) -> np.random.Generator | None:
        seed = self.options.stochastic_seed
        return None if seed is None else np.random.default_rng((seed, seat))

    # ------------------------------------------------------------- arguments
    def argument(self, core: Core, value: Any) -> Any:
        """A caller's value as the kernel sees it; containers are rebuilt around their arrays."""
        like = None if self.mode.data else stand_in(value)
        if like is not None:
            return self._tensor(core, value, lambda: without_data(value, like))
        kind = kind_of(value)
        if kind is not None:
            return self._tensor(core, value, lambda: wrapped(value, kind, self.options.wide))
        if isinstance(value, ShapeDtype):
            storage = core.allocate(value.shape, DTYPES[value.dtype], MemoryRegion.shared_hbm)
            return NkiTensor.whole(storage)
        if isinstance(value, (tuple, list, dict)):
            return rebuilt(value, lambda item: self.argument(core, item))
        if isinstance(value, (np.dtype, type)) or type(value).__module__ in ("torch", "jax._src.numpy.scalar_types"):
            return dtype_name(value)
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, NKIObject) or dataclasses.is_dataclass(value):
            return self._object(core, value)
        return value

    def _object(self, core: Core, value: Any) -> Any:
        """A copy around the kernel's tensors, made from the object's dictionary; itself where it holds no arrays."""
        fields = getattr(value, "__dict__", {})
        seen = {name: self.argument(core, item) for name, item in fields.items()}
        if all(seen[name] is item or same(seen[name], item) for name, item in fields.items()):
            return value
        made = object.__new__(type(value))
        for name, item in seen.items():
            object.__setattr__(made, name, item)
        return made

    def _tensor(self, core: Core, value: Any, make: Callable[[], Argument]) -> NkiTensor:
        found = self.arguments.get(id(value))
        if found is None:
            found = self.arguments[id(value)] = make()
            found.number = len(self.arguments)
        storage = core.allocate(found.shape, found.dtype, MemoryRegion.shared_hbm, block=found.block)
        storage.source = found
        core.shared[storage.allocation.id] = ("argument", found.number)
        found.tensors.append(storage.allocation)
        return NkiTensor.whole(storage)

    # ------------------------------------------------------------- running
    def body(self, core: Core, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The kernel on one core, up to its last value."""
        given = [self.argument(core, a) for a in args]
        named = {k: self.argument(core, v) for k, v in kwargs.items()}
        _name(self.function, given, named)
        outer, INSIDE.kernel = INSIDE.kernel, True
        try:
            made = self.function(*given, **named)
        finally:
            INSIDE.kernel = outer
        core.finish()
        return made

    def report(self, returned: Any, failures: list[Exception]) -> Report:
        """What the caller gets when all cores have ended; `returned` is what the function gave on core 0."""
        results = None
        try:
            results = None if failures else self._result(returned)
        except LaunchError as error:
            if not self.mode.catch:
                raise
            failures.append(error)
        steps: Counter[Step] = Counter()
        for core in self.cores:
            steps.update(core.counts)
        counts: Counter[str] = Counter()
        engines: Counter[str] = Counter()
        for step, n in steps.items():
            counts[step.instruction.name] += n
            engines[step.engine.name] += n
        return Report(
            results,
            self.chip,
            self.lnc,
            counts,
            engines,
            steps,
            [c.maps for c in self.cores],
            [w for c in self.cores for w in c.warnings],
            [c.trace() for c in self.cores] if self.mode.trace else None,
            failures,
            [a.original for a in self.arguments.values() if a.stored],
            [sight for core in self.cores for sight in core.sights.seen.values()],
        )

    def write_back(self) -> None:
        """Bring stores into arguments back to arrays whose memory could not be shared."""
        for argument in self.arguments.values():
            self._show_unwritten(argument)
            write_back = argument.kind and argument.kind.write_back
            if argument.stored and not argument.shared and write_back and argument.array is not None:
                carrier = argument.dtype.carrier
                values = argument.array.astype(carrier) if self.options.wide else argument.array.view(carrier)
                write_back(argument.original, values.reshape(argument.shape))

    def _show_unwritten(self, argument: Argument) -> None:
        """Where a DMA moved unwritten bytes into an argument, its old values are gone: show the sentinel there."""
        block, array = argument.block, argument.array
        if array is None or block.state == 2:
            return
        held = np.dtype(np.float32) if array.itemsize != argument.dtype.itemsize else argument.dtype.carrier
        missing = (block.shadow.reshape(array.size, -1) != 1).any(-1).reshape(array.shape)
        _mark(array.view(held), missing, argument.dtype)
        block.state = 2
        self._warn_unwritten(argument.tensors[0], missing)

    # ------------------------------------------------------------- results
    def _result(self, returned: Any) -> Any:
        if not _has_tensor(returned) and not self._wrote_arguments():
            what = "nothing" if returned is None else "no tensor"
            jax = any(a.stored and not a.changes for a in self.arguments.values())
            raise LaunchError(
                f"kernel {self.name} returned {what} and stored into none of its arguments",
                got=repr(returned)[:200],
                expected="a tensor in nl.shared_hbm",
                hint="return the nl.ndarray(..., buffer=nl.shared_hbm) that holds the result"
                + ("; what is stored into a jax array is lost" if jax else ""),
            )
        return self._convert(returned)

    def _wrote_arguments(self) -> bool:
        return any(a.stored and a.changes for a in self.arguments.values())

    def _convert(self, value: Any) -> Any:
        if isinstance(value, (tuple, list, dict)):
            return rebuilt(value, self._convert)
        if not isinstance(value, View):
            return value
        if value.buffer.on_chip:
            raise LaunchError(
                f"kernel {self.name} returned a tensor in {value.buffer.value}",
                got=str(value.storage.allocation),
                expected="tensors in nl.shared_hbm",
                hint="nisa.dma_copy it to an HBM tensor and return that",
            )
        argument = value.storage.source
        if not self.mode.data:
            itself = isinstance(argument and argument.original, ShapeDtype) and _is_all_of(value)
            return argument.original if itself else ShapeDtype(value.shape, value.dtype)
        if argument is not None and argument.kind.write_back and _is_all_of(value):
            return argument.original
        return self._export(value)

    def _export(self, view: View) -> Any:
        array = access.strided(view) if view.dynamic is None else self.cores[0].values(view)
        if view.dynamic is None and not access.ready(view):
            window = access.shadow_of(view) if view.block.state else np.zeros(view.shape, np.uint8)
            missing = (window != 1).reshape((*view.shape, -1)).any(-1)
            _mark(array, missing, view.dt)
            self._warn_unwritten(view.storage.allocation, missing)
        if array.dtype != view.dt.carrier:
            array = array.astype(view.dt.carrier)
        kinds = [a.kind for a in self.arguments.values() if a.kind is not None]
        return kinds[0].from_numpy(array, view.dt) if kinds else array

    def _warn_unwritten(self, tensor: Allocation, missing: np.ndarray) -> None:
        """The caller may know that part of a result means nothing, so this is no error."""
        first = tuple(int(index) for index in np.argwhere(missing)[0])
        fault = MemoryFault(
            f"kernel {self.name} returned elements that were never written",
            kind="unwritten",
            site=tensor.site,
            got=f"{int(missing.sum())} of {missing.size} elements, the first at index {first}, of {tensor}",
            expected="every element of a result written",
            hint="write them too, or return only the part that is written (they are shown as NaN, in integers as 4)",
        )
        self.cores[0].warnings.append(fault)
        notice(str(fault), UserWarning)


_signature = lru_cache(1024)(inspect.signature)


def _name(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> None:
    """Give argument tensors the names of their parameters, for errors and reports."""
    try:
        bound = _signature(function).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):  # the call itself says what is wrong with it
        return
    for name, value in bound.items():
        if isinstance(value, View) and not value.storage.allocation.name:
            value.storage.allocation.name = name


@contextmanager
def _without_collector() -> Iterator[None]:
    """Without Python's garbage collector, which would walk the tiles of a large kernel again and again to no avail.

    Only where tensors have no memory: what a kernel leaves behind in cycles is small then.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _has_tensor(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(_has_tensor(item) for item in value)
    return isinstance(value, View) or (isinstance(value, dict) and _has_tensor(list(value.values())))


def _mark(array: np.ndarray, missing: np.ndarray, dtype: DType) -> None:
    """Put the sentinel of `dtype` into the missing elements; of float32 where low-precision floats are kept as such."""
    array[missing] = sentinel(dtype if array.dtype == dtype.carrier else DTYPES["float32"])


def _is_all_of(view: View) -> bool:
    """True when the view shows its storage as it was allocated."""
    whole = View.whole(view.storage)
    return view.dynamic is None and (view.shape, view.strides, view.dtype) == (whole.shape, whole.strides, whole.dtype)


def _run(launches: Sequence[_Launch], lockstep: Lockstep, calls: Sequence[Call]) -> list[Report]:
    cores = [core for launch in launches for core in launch.cores]
    mode = launches[0].mode
    failures: list[Exception] = []

    def body(seat: int) -> Any:
        rank = cores[seat].rank
        return launches[rank].body(cores[seat], *calls[rank])

    outer, returned = ACTIVE.recorder, [None] * len(launches)
    try:
        with keywords(), nullcontext() if mode.data else _without_collector():
            returned = lockstep.run(body)[:: lockstep.cores]
        for core in cores:
            core.place()
    except Exception as error:
        if not mode.catch:
            raise
        failures = [*_before(cores), error]
    finally:
        ACTIVE.recorder = outer
        for each in launches:
            each.write_back()
    return [each.report(made, [*failures]) for each, made in zip(launches, returned, strict=True)]


def _before(cores: Sequence[Core]) -> list[Exception]:
    """What goes wrong in the records before a failure (several cores can no longer wait for each other then)."""
    if len(cores) == 1:
        try:
            cores[0].flush()
        except Exception as error:
            return [error]
    return []


def launch(
    function: Callable[..., Any], name: str, lnc: int, args: tuple[Any, ...], kwargs: dict[str, Any], **options: Any
) -> Report:
    """`launch_ranks` for one rank."""
    return launch_ranks(function, name, lnc, [(args, kwargs)], **options)[0]


def launch_ranks(
    function: Callable[..., Any],
    name: str,
    lnc: int,
    calls: Sequence[Call],
    *,
    target: str | None = None,
    default_target: str | None = None,
    **mode: Any,
) -> list[Report]:
    """Run ``function(*args, **kwargs)`` for each of `calls` as a rank with `lnc` cores of the target chip, side by side.

    With ``data=False`` it is recorded with shapes alone: arrays and `ShapeDtype` serve as arguments alike, no tensor has
    memory, results are `ShapeDtype`, and whatever needs a value raises UnsupportedError. `mode`: fields of `execute.core.Mode`.
    """
    options = settings.read(target, default_target)
    chip = load_chip(options.target)
    if lnc not in chip.limits.lnc_values:
        raise LaunchError(
            f"kernel {name}[{lnc}]",
            site=user_site(),
            got=f"LNC {lnc} on {chip.name}",
            expected=f"LNC {' or '.join(map(str, chip.limits.lnc_values))}",
        )
    if options.lnc is not None and options.lnc != lnc:
        raise LaunchError(
            f"kernel {name}[{lnc}]",
            site=user_site(),
            got=f"NEURON_LOGICAL_NC_CONFIG={options.lnc}",
            expected=f"{lnc}",
            hint="launch with kernel[LNC] that matches the variable",
        )
    with _ONE_AT_A_TIME:
        return _launched(function, name, lnc, calls, options, Mode(wide=options.wide, **mode))


def _launched(
    function: Callable[..., Any], name: str, lnc: int, calls: Sequence[Call], options: settings.Settings, mode: Mode
) -> list[Report]:
    cores: list[Core] = []

    def resume(seat: int) -> None:
        ACTIVE.recorder = cores[seat].recorder

    lockstep = Lockstep(lnc * len(calls), resume, lnc)
    launches = [_Launch(function, name, lockstep, rank, options, mode) for rank in range(len(calls))]
    cores += [core for each in launches for core in each.cores]
    try:
        return _run(launches, lockstep, calls)
    finally:
        for core in cores:
            core.close()
        cores.clear()  # the lockstep knows them through `resume`, and they know it
