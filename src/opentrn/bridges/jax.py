"""Kernels called with JAX arrays: eager, and inside `jax.jit`, `jax.vmap` and `jax.custom_vjp`.

A call on arrays launches the kernel. A call on tracers becomes a custom call of XLA (see `xla`; `jax.pure_callback`
where XLA's interface is another one), whose result shapes come from recording the kernel without data. Arguments that
the kernel stores into are results of the call too, in the same memory where JAX donates them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import jax
import jax.core
import numpy as np

from opentrn.bridges import xla
from opentrn.bridges.calls import Call, Plan, call_of, filled, site_of_kernel
from opentrn.errors import DTypeError, GradientError, TracingError
from opentrn.nki.arrays import ShapeDtype
from opentrn.nki.kernel import Kernel
from opentrn.numerics.dtypes import DTYPES
from opentrn.program import native

__all__ = ["call"]

TARGET = "opentrn_launch"


def call(kernel: Kernel, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call `kernel` with arguments that hold JAX arrays; the results are new arrays (an array of JAX never changes).

    Raises jax.errors.ConcretizationTypeError where a kernel is traced whose control flow needs values, GradientError
    where it is differentiated. `jax.vmap` launches it once for each element; jax.custom_batching.custom_vmap gives
    another rule.
    """
    made, arrays = call_of(kernel, args, kwargs, _is_array)
    tracers = [array for array in arrays if isinstance(array, jax.core.Tracer)]
    if not tracers:
        return kernel.report(args, kwargs).results
    try:
        plan = made.plan(_shapes(arrays))
    except TracingError as error:
        raise jax.errors.ConcretizationTypeError(tracers[0], str(error)) from None
    except DTypeError as error:
        error.what, error.site = f"kernel {kernel.__name__}: {error.what}", site_of_kernel(kernel)
        raise
    given = [jax.numpy.asarray(array) for array in arrays]
    outputs = _launched(made, *given)
    fresh, stored = outputs[: len(plan.outputs)], outputs[len(plan.outputs) :]
    for number, array in zip(plan.written, stored, strict=True):
        given[number] = array
    return filled(plan.result, given, fresh)


def _is_array(value: Any) -> bool:
    return isinstance(value, (jax.Array, np.ndarray))


def _shapes(arrays: Sequence[Any]) -> list[ShapeDtype]:
    return [ShapeDtype(array.shape, array.dtype) for array in arrays]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _launched(made: Call, *arrays: Any) -> tuple[Any, ...]:
    """The new arrays of a call, then those that it stores into, as they are afterwards."""
    program = _Program.of(made, _shapes(arrays))
    like = [jax.ShapeDtypeStruct(s.shape, DTYPES[s.dtype].carrier) for s in program.plan.outputs]
    like += [jax.ShapeDtypeStruct(arrays[n].shape, arrays[n].dtype) for n in program.plan.written]
    if not _interface():
        return tuple(jax.pure_callback(program.on_arrays, like, *arrays, vmap_method="sequential"))
    aliases = {n: len(program.plan.outputs) + k for k, n in enumerate(program.plan.written)}
    through = jax.ffi.ffi_call(TARGET, like, vmap_method="sequential", input_output_aliases=aliases)
    return tuple(through(*arrays, call=program.name))


@_launched.defjvp
def _(made: Call, primals: Any, tangents: Any) -> Any:
    raise GradientError(
        f"kernel {made.kernel.__name__} cannot be differentiated",
        site=site_of_kernel(made.kernel),
        hint="give it a derivative with jax.custom_vjp",
    )


# ---------------------------------------------------------------- running
@dataclass(frozen=True)
class _Program:
    """A call for arguments of given shapes, as compiled programs hold it."""

    name: str
    made: Call
    plan: Plan
    given: tuple[tuple[tuple[int, ...], np.dtype, int], ...]
    """Shape, dtype and bytes of each argument."""

    @staticmethod
    def of(made: Call, shapes: Sequence[ShapeDtype]) -> _Program:
        plan = made.plan(shapes)
        name = f"{made.name}({', '.join(f'{s.dtype}{list(s.shape)}' for s in shapes)})"
        if name.encode() not in _PROGRAMS:
            _PROGRAMS[name.encode()] = _Program(name, made, plan, tuple(map(_layout, shapes)))
        return _PROGRAMS[name.encode()]

    def on_arrays(self, *arrays: Any) -> list[np.ndarray]:
        """Launch on arrays, which stay as they are."""
        written = self.plan.written
        given = [np.array(a) if n in written else np.asarray(a) for n, a in enumerate(arrays)]
        return [*self.made.run(given).outputs, *(given[n] for n in written)]

    def in_memory(self, arguments: list[int], results: list[int]) -> None:
        """Launch on memory; where arguments are stored into, they are among the results already."""
        for number, address in zip(self.plan.written, results[len(self.plan.outputs) :], strict=True):
            arguments[number] = address
        outputs = self.made.run(
            [xla.array_at(a, *layout) for a, layout in zip(arguments, self.given, strict=True)]
        ).outputs
        for address, output in zip(results, outputs, strict=False):
            xla.array_at(address, output.shape, output.dtype, output.nbytes)[...] = output


_PROGRAMS: dict[bytes, _Program] = {}


def _layout(shape: ShapeDtype) -> tuple[tuple[int, ...], np.dtype, int]:
    dtype = np.dtype(np.bool_) if shape.dtype == "bool" else DTYPES[shape.dtype].carrier
    return shape.shape, dtype, int(np.prod(shape.shape)) * dtype.itemsize


@cache
def _interface() -> bool:
    """XLA knows the custom call; False without the native core, and where the interface is another one."""
    if not native.available():
        return False
    try:
        xla.register(TARGET, lambda name, arguments, results: _PROGRAMS[name].in_memory(arguments, results))
    except (AttributeError, TypeError, RuntimeError, ValueError):
        return False
    return True
