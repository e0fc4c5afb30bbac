"""Arrays of numpy, torch and jax as kernel arguments and results: one `Kind` for each framework.

`ShapeDtype` stands in for an array whose values do not matter.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from functools import cache
from typing import Any

import numpy as np

from opentrn.errors import LaunchError, TensorError
from opentrn.numerics.dtypes import DType
from opentrn.numerics.dtypes import dtype as dtype_of

__all__ = ["Kind", "ShapeDtype", "check_tensor", "kind_of", "leaves", "rebuilt", "signature", "stand_in", "told"]

_LONGEST = 40  # characters of an argument that is shown as it prints


@dataclass(frozen=True)
class ShapeDtype:
    """An array without data: its shape and its dtype, in any spelling that NKI has for it (kept as NKI's name).

    `values` is how values are made where a run needs them (`opentrn.nki.values`): a kind such as ``special``, or a range
    such as ``0:4096``; by default as the caller of the run says.
    """

    shape: tuple[int, ...]
    dtype: str
    values: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))
        object.__setattr__(self, "dtype", dtype_of(self.dtype).name)


@dataclass(frozen=True)
class Kind:
    """How to see a framework's array as numpy (sharing memory where possible) and how to make one from numpy.

    `write_back` copies values into the caller's array where `to_numpy` could not share memory; None when the
    framework's arrays cannot be written.
    """

    name: str
    to_numpy: Callable[[Any], np.ndarray]
    from_numpy: Callable[[np.ndarray, DType], Any]
    write_back: Callable[[Any, np.ndarray], None] | None


def _numpy_write_back(array: np.ndarray, values: np.ndarray) -> None:
    if not array.flags.writeable:
        raise LaunchError(
            "the kernel stores into a read-only array", got=f"{array.dtype} {array.shape}", expected="a writable array"
        )
    array[...] = values.view(array.dtype)


NUMPY = Kind("numpy", lambda a: a, lambda a, _: a, _numpy_write_back)


def kind_of(value: Any) -> Kind | None:
    """The framework whose array `value` is; None for anything else. Imports no framework that isn't loaded."""
    if isinstance(value, np.ndarray):
        return NUMPY
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _torch_kind(torch)
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(value, jax.Array):
        return _jax_kind(jax)
    return None


def stand_in(value: Any) -> ShapeDtype | None:
    """The shape and dtype of an array, of a torch meta tensor or of a `jax.ShapeDtypeStruct`; None for anything else."""
    if isinstance(value, ShapeDtype):
        return value
    if kind_of(value) is None and type(value).__name__ != "ShapeDtypeStruct":
        return None
    return ShapeDtype(tuple(value.shape), value.dtype)


def rebuilt(value: Any, item: Callable[[Any], Any]) -> Any:
    """A tuple, named tuple, list or dict with `item` applied to each of its elements."""
    if isinstance(value, dict):
        return {key: item(each) for key, each in value.items()}
    items = [item(each) for each in value]
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def leaves(value: Any) -> Iterator[Any]:
    """What tuples, lists and dicts inside one another hold, in order."""
    if isinstance(value, (tuple, list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from leaves(item)
    else:
        yield value


def told(*args: Any, **kwargs: Any) -> str:
    """Arguments as text, each as `opentrn check --inputs` has it: ``x=bfloat16[128,512], scale=2.0``."""
    return ", ".join([*map(_told, args), *(f"{name}={_told(value)}" for name, value in kwargs.items())])


def _told(value: Any) -> str:
    like = stand_in(value)
    if like is not None:
        return f"{like.dtype}[{','.join(map(str, like.shape))}]"
    if isinstance(value, list | tuple):
        return f"[{told(*value)}]"
    shown = repr(value)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."


def signature(value: Any) -> Any:
    """What tells one launch from another: shapes and dtypes of arrays, everything else as it prints."""
    if isinstance(value, (int, float, str)):
        return (type(value), repr(value))
    if isinstance(value, tuple | list):
        return (type(value), *map(signature, value))
    if isinstance(value, dict):
        return tuple((str(key), signature(item)) for key, item in value.items())
    like = stand_in(value)
    if like is not None:
        return like
    if is_dataclass(value) and not isinstance(value, type):
        return (type(value), signature(vars(value)))
    return (type(value), repr(value))


def check_tensor(tensor: Any, *devices: str) -> None:
    """Raises TensorError for a torch tensor that is not dense and real, or on neither the CPU nor one of `devices`."""
    strided = sys.modules["torch"].strided
    if (tensor.is_cpu or tensor.device.type in devices) and tensor.layout is strided and not tensor.is_complex():
        return
    raise TensorError(
        "torch argument",
        got=f"{tensor.layout} {tensor.dtype} on {tensor.device}",
        expected="a dense real tensor on the CPU",
        hint="call .cpu(), .to_dense() or torch.view_as_real first",
    )


@cache
def _torch_kind(torch: Any) -> Kind:
    bits = {  # dtypes that numpy knows nothing of: what it sees, and what that is
        getattr(torch, name): (seen, dtype_of(name).carrier)
        for name, seen in (
            ("bfloat16", torch.int16),
            ("float8_e4m3fn", torch.uint8),
            ("float8_e5m2", torch.uint8),
        )
    }

    def to_numpy(tensor: Any) -> np.ndarray:
        check_tensor(tensor)
        plain = tensor.detach() if tensor.requires_grad else tensor
        if tensor.dtype in bits:
            seen, carrier = bits[tensor.dtype]
            return plain.view(seen).numpy().view(carrier)
        return plain.numpy()

    def from_numpy(array: np.ndarray, kind: DType) -> Any:
        wanted = getattr(torch, kind.name, None)
        array = np.ascontiguousarray(array)
        if wanted is None or kind.kind == "packed":
            return torch.from_numpy(array.view(np.uint8))
        if wanted in bits:
            return torch.from_numpy(array.view(np.int16 if kind.itemsize == 2 else np.uint8)).view(wanted)
        made = torch.from_numpy(array)
        return made if made.dtype is wanted else made.to(wanted)

    def write_back(tensor: Any, values: np.ndarray) -> None:
        with torch.no_grad():
            tensor.copy_(from_numpy(values, dtype_of(tensor.dtype)))

    return Kind("torch", to_numpy, from_numpy, write_back)


@cache
def _jax_kind(jax: Any) -> Kind:
    def from_numpy(array: np.ndarray, _kind: DType) -> Any:
        return jax.numpy.asarray(array)

    return Kind("jax", np.asarray, from_numpy, None)
