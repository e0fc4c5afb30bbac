"""A kernel call with its arrays taken out, so that a framework can carry the arrays, and what it gives for given shapes.

Frameworks trace with shapes and run with values. `Call` is what stays the same between the two: the kernel and the
arguments that are not arrays. `Plan` is what tracing needs, found by recording the kernel without data.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from opentrn.errors import Site, TracingError, UnsupportedError
from opentrn.nki import settings
from opentrn.nki.arrays import ShapeDtype, kind_of, rebuilt, signature
from opentrn.nki.kernel import Kernel, unwatched

__all__ = ["Call", "Plan", "Run", "Slot", "call_named", "call_of", "filled", "site_of_kernel"]


@dataclass(frozen=True)
class Slot:
    """Where an array was taken out: its number among the arrays of a call, then those that the call makes."""

    number: int


@dataclass(frozen=True)
class Plan:
    """What a call gives for arrays of given shapes: its result with a `Slot` for each array, the new arrays, and the
    numbers of the arrays that it stores into."""

    result: Any
    outputs: tuple[ShapeDtype, ...]
    written: tuple[int, ...]


class Run(NamedTuple):
    """What a call gave: its result with a `Slot` for each array, the new arrays, and numbers of those stored into."""

    result: Any
    outputs: list[Any]
    written: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Call:
    """A kernel and its arguments, with a `Slot` for each array. `name` is unique in the process: ``add#2``."""

    name: str
    kernel: Kernel
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    _plans: dict[Any, Plan] = field(default_factory=dict)

    def filled(self, arrays: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with `arrays` in their places."""
        return _fill(self.arguments, arrays)

    def run(self, arrays: Sequence[Any]) -> Run:
        """Launch the kernel on `arrays`."""
        report = self.kernel.report(*self.filled(arrays))
        return Run(*_taken_out(report.results, report.stored, arrays))

    def plan(self, shapes: Sequence[ShapeDtype]) -> Plan:
        """What the call gives for arrays of these shapes; recorded once. Raises TracingError where that needs values."""
        key = (tuple(shapes), settings.read(None, self.kernel.target))
        if key not in self._plans:
            self._plans[key] = self._record([ShapeDtype(s.shape, s.dtype) for s in shapes])
        return self._plans[key]

    def _record(self, shapes: list[ShapeDtype]) -> Plan:
        try:
            with unwatched():
                report = self.kernel.report(*self.filled(shapes), data=False)
        except UnsupportedError as error:
            raise TracingError(
                f"kernel {self.kernel.__name__} cannot be traced: {error.what}",
                site=error.site or site_of_kernel(self.kernel),
                hint="call it outside of compiled code, or make its control flow depend on shapes and constants alone",
            ) from None
        result, outputs, written = _taken_out(report.results, report.stored, shapes)
        return Plan(result, tuple(outputs), written)


_CALLS: dict[Any, Call] = {}
_NAMED: dict[str, Call] = {}


def call_of(
    kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any], is_array: Callable[[Any], bool]
) -> tuple[Call, list[Any]]:
    """The call of `kernel` with these arguments, and its arrays, each once; equal calls are one."""
    arrays: list[Any] = []

    def take(value: Any) -> Any:
        if is_array(value):
            for number, array in enumerate(arrays):
                if array is value:
                    return Slot(number)
            arrays.append(value)
            return Slot(len(arrays) - 1)
        return rebuilt(value, take) if isinstance(value, (tuple, list, dict)) else value

    arguments = (take(args), take(kwargs))
    key = (kernel, signature(arguments))
    if key not in _CALLS:
        name = f"{kernel.__name__}#{len(_CALLS)}"
        _CALLS[key] = _NAMED[name] = Call(name, kernel, arguments)
    return _CALLS[key], arrays


def call_named(name: str) -> Call:
    """The call of this process with that name. Raises TracingError for a name of another process."""
    if name not in _NAMED:
        raise TracingError(
            f"no kernel call {name} in this process",
            hint="a saved program keeps kernels that are registered with nki_op; calls of bare kernels end with the process",
        )
    return _NAMED[name]


def site_of_kernel(kernel: Kernel) -> Site | None:
    """Where the kernel is defined."""
    code = getattr(inspect.unwrap(kernel.func), "__code__", None)
    return None if code is None else Site(code.co_filename, code.co_firstlineno, kernel.__name__)


def _fill(value: Any, arrays: Sequence[Any]) -> Any:
    kind = type(value)
    if kind is Slot:
        return arrays[value.number]
    if kind is tuple:
        return tuple([_fill(item, arrays) for item in value])
    if kind is dict:
        return {key: _fill(item, arrays) for key, item in value.items()} if value else {}
    return rebuilt(value, lambda item: _fill(item, arrays)) if isinstance(value, (tuple, list, dict)) else value


def filled(result: Any, arrays: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """The result of a call, with the arrays that it was given and that it made."""
    return _fill(result, [*arrays, *outputs])


def _taken_out(result: Any, written: Sequence[Any], arrays: Sequence[Any]) -> tuple[Any, list[Any], tuple[int, ...]]:
    """A result with a `Slot` for each array, the arrays that are new, and the numbers of those that were stored into."""
    outputs: list[Any] = []
    numbers = {id(array): number for number, array in enumerate(arrays)}
    slots = _slotted(result, numbers, len(arrays), outputs)
    return slots, outputs, tuple(sorted([numbers[id(array)] for array in written if id(array) in numbers]))


def _slotted(value: Any, numbers: dict[int, int], given: int, outputs: list[Any]) -> Any:
    """`value` with a `Slot` for each array; those without a number go to `outputs`.

    Not a function inside of `_taken_out`: one that calls itself is a cycle, and each launch would leave one to the collector.
    """
    if isinstance(value, (tuple, list, dict)):
        return rebuilt(value, lambda item: _slotted(item, numbers, given, outputs))
    if not isinstance(value, ShapeDtype) and kind_of(value) is None:
        return value
    number = numbers.get(id(value))
    if number is None:
        outputs.append(value)
        number = given + len(outputs) - 1
    return Slot(number)
